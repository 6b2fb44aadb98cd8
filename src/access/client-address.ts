import { isIPv4, isIPv6 } from 'node:net';
import type { IncomingMessage } from 'node:http';
import proxyAddress from 'proxy-addr';

/** The groups of an IPv6 address, eight of them, in lower case without leading zeros. */
function groups(address: string): string[] {
  // The URL standard has the canonical form, which also turns a dotted tail into groups.
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const before = head.split(':').filter((part) => part !== '');
  if (tail === undefined) return before;
  const after = tail.split(':').filter((part) => part !== '');
  return [...before, ...Array.from({ length: 8 - before.length - after.length }, () => '0'), ...after];
}

/** What is counted as one client's address: an IPv4 address, or the 64 bits of IPv6 that one customer gets. */
function countedAs(address: string): string {
  if (!isIPv6(address)) return address;
  const [a, b, c, d, e, f, g = '0', h = '0'] = groups(address);
  if ([a, b, c, d, e].every((part) => part === '0') && f === 'ffff') {
    const bits = parseInt(g, 16) * 65_536 + parseInt(h, 16);
    return [bits >>> 24, (bits >>> 16) & 255, (bits >>> 8) & 255, bits & 255].join('.');
  }
  return `${a}:${b}:${c}:${d}::/64`;
}

/** Whether a text is an IP address; one with a zone (`fe80::1%eth0`) means something to one machine only. */
function isAddress(text: string): boolean {
  return isIPv4(text) || (isIPv6(text) && !text.includes('%'));
}

/** Stands for a member that names no address, as proxies write it themselves when they do not know one. */
const UNKNOWN = 'unknown';

/** A member of `X-Forwarded-For` with brackets, as around an IPv6 address, or with a port, or both. */
const BRACKETED = /^\[([^\]]*)\](?::\d{1,5})?$/;
const WITH_PORT = /^(.+):\d{1,5}$/;

/** The address that one member of `X-Forwarded-For` names, without the port, brackets and quotes that some proxies write. */
function addressIn(member: string): string {
  const trimmed = member.trim();
  const text = /^"(.*)"$/.exec(trimmed)?.[1]?.trim() ?? trimmed;
  // As a whole first: in `2001:db8::1:443` the last group is no port, or nobody could tell.
  const candidates = [text, BRACKETED.exec(text)?.[1], WITH_PORT.exec(text)?.[1]];
  return candidates.find((candidate) => candidate !== undefined && isAddress(candidate)) ?? UNKNOWN;
}

/** Members that are read, from the end of the header: more than `TRUST_PROXY` can name hops. The rest is a stranger's word. */
const MAX_MEMBERS = 100;

/** The header with bare addresses alone, as `proxy-addr` takes it; empty members do not count (RFC 9110, 5.6.1.2). */
function cleaned(forwarded: string): string {
  const members = forwarded.split(',').filter((member) => member.trim() !== '');
  return members.slice(-MAX_MEMBERS).map(addressIn).join(',');
}

/** Finds out where a client is, through the proxies that may be believed (`TRUST_PROXY`) and through no other. */
export class ClientAddress {
  readonly #trusts: ((address: string, hop: number) => boolean) | undefined;

  /** @param trust - so many hops, or those in these networks; `undefined` believes nobody */
  constructor(trust: number | readonly string[] | undefined) {
    if (typeof trust === 'number') this.#trusts = (_address, hop) => hop < trust;
    else if (trust !== undefined) this.#trusts = proxyAddress.compile([...trust]);
  }

  /**
   * @param remote - address of the connection
   * @param forwarded - header `X-Forwarded-For`, empty if there is none; its members may have ports, brackets and quotes
   * @returns what the client is counted by
   */
  of(remote: string, forwarded: string): string {
    if (this.#trusts === undefined || forwarded === '') return countedAs(remote);
    const request = { headers: { 'x-forwarded-for': cleaned(forwarded) }, socket: { remoteAddress: remote } };
    const address = proxyAddress(request as unknown as IncomingMessage, this.#trusts);
    // Something else that a proxy wrote would let its sender be another client with every request.
    return countedAs(isAddress(address) ? address : remote);
  }
}
