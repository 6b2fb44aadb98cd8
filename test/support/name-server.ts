import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type Cleanup, HOST } from './processes.js';

const HEADER_BYTES = 12;
const TYPE_A = 1;
const ANSWERED = 0x81_80;
/** What a record begins with: the name of the question, type A, class IN, 1 s to live, 4 bytes. */
const RECORD = Buffer.from('c00c00010001000000010004', 'hex');

/** Answers a question (RFC 1035, section 4); with no record where it asks for anything but IPv4 addresses. */
function answerTo(query: Buffer, addresses: readonly string[]): Buffer {
  const end = query.indexOf(0, HEADER_BYTES) + 5;
  const records = query.readUInt16BE(end - 4) === TYPE_A ? addresses : [];
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(query.readUInt16BE(0), 0);
  header.writeUInt16BE(ANSWERED, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(records.length, 6);
  const parts = records.flatMap((address) => [RECORD, Buffer.from(address.split('.').map(Number))]);
  return Buffer.concat([header, query.subarray(HEADER_BYTES, end), ...parts]);
}

/** A name server that knows the same addresses for every name, as that of a container engine for the replicas of a service. */
export class NameServer {
  addresses: readonly string[] = [];
  readonly port: number;

  private constructor(port: number) {
    this.port = port;
  }

  /** Starts one on a free UDP port of 127.0.0.1. */
  static async start(cleanup: Cleanup): Promise<NameServer> {
    const socket = createSocket('udp4').bind(0, HOST);
    await once(socket, 'listening');
    cleanup.add(socket, (self) => self.close());
    const server = new NameServer(socket.address().port);
    socket.on('message', (query, from) => socket.send(answerTo(query, server.addresses), from.port, from.address));
    return server;
  }
}
