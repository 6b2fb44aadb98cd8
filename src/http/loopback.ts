/** Whether an address, as 4 or 16 bytes, is one of this machine alone. */
export function isLoopback(address: Uint8Array): boolean {
  if (address.length === 4) return address[0] === 127;
  const text = Buffer.from(address).toString('hex');
  // ::1, or an IPv4 loopback address mapped into IPv6 (::ffff:127.x.x.x)
  return text === '00000000000000000000000000000001' || text.startsWith('00000000000000000000ffff7f');
}
