import type { ManagerOptions, SocketOptions } from 'socket.io-client';
import type { SubscribeAnswer } from '../../src/contract/events.js';
import { FeedClient } from '../support/pod.js';
import type { Cleanup } from '../support/processes.js';
import { until } from '../support/until.js';
import { DocumentSchemas, type Tree, at, references, tree } from './document-schemas.js';

/** Socket.IO's packet types (socket.io-protocol, version 5). */
const CONNECT = '0';
const CONNECT_ERROR = '4';

/** The names of the messages that the gateway sends by itself, off the operations of a document. */
function sentByGateway(document: Tree): Set<string> {
  const operations = Object.values(tree(document['operations'])).filter((one) => tree(one)['action'] === 'send');
  return new Set(references(operations.map((one) => tree(one)['messages'])).map((ref) => ref.split('/').at(-1) ?? ''));
}

/** Everything that stock clients and a gateway say to each other, held against an AsyncAPI document. */
export class Conversation {
  /** Messages of the document that were heard. */
  readonly seen = new Set<string>();
  /** Codes of refusals that were heard. */
  readonly codes = new Set<string>();
  /** What is not as the document says. */
  readonly faults: string[] = [];
  readonly #document: Tree;
  readonly #schemas: DocumentSchemas;
  readonly #events: ReadonlySet<string>;

  constructor(document: Tree) {
    this.#document = document;
    this.#schemas = new DocumentSchemas(document, { draft: 7, isClosed: true });
    this.#events = sentByGateway(document);
  }

  /** Holds a message against the document. */
  note(name: string, payload: unknown): void {
    const pointer = `#/components/messages/${name}/payload`;
    if (at(this.#document, pointer) === undefined) {
      this.faults.push(`the document has no message "${name}": ${JSON.stringify(payload)}`);
      return;
    }
    this.seen.add(name);
    const fault = this.#schemas.fault(pointer, payload);
    if (fault !== undefined) this.faults.push(fault);
  }

  /** A stock client whose conversation is listened to from its first packet. */
  client(cleanup: Cleanup, url: string, options: Partial<ManagerOptions & SocketOptions> = {}): FeedClient {
    const client = new FeedClient(cleanup, url, { transports: ['websocket'], ...options, autoConnect: false });
    const { socket } = client;
    socket.io.on('open', () => {
      const { engine } = socket.io;
      engine.on('packetCreate', ({ data }) => this.#packet('connect', CONNECT, data));
      engine.on('packet', ({ data }) => this.#packet('connect_error', CONNECT_ERROR, data));
    });
    socket.onAny((event: string, ...args: unknown[]) => {
      if (this.#events.has(event)) this.note(event, args);
      else this.faults.push(`the gateway sent "${event}", which the document does not name: ${JSON.stringify(args)}`);
    });
    // Last, since the socket sends its first packet as soon as the manager is open.
    socket.connect();
    return client;
  }

  /** Subscribes, and holds what is asked and what is answered against the document. */
  async subscribe(client: FeedClient, topics: unknown): Promise<SubscribeAnswer> {
    const args: unknown[] = await new Promise((resolve) => {
      client.socket.emit('subscribe', topics, (...answer: unknown[]) => resolve(answer));
    });
    this.note('subscribe_answer', args);
    const answer = args[0] as SubscribeAnswer;
    if (answer.ok) this.note('subscribe', [topics]);
    else this.codes.add(answer.error.code);
    return answer;
  }

  /** Connects in vain. Returns the code of the refusal. */
  async refused(cleanup: Cleanup, url: string, auth: Tree): Promise<string> {
    const before = this.faults.length;
    const client = this.client(cleanup, url, { auth, reconnection: false });
    const codes: (string | undefined)[] = [];
    client.socket.on('connect_error', (error) => codes.push((error as { data?: { code: string } }).data?.code));
    await until('a refusal', () => codes.length > 0, { seen: () => [client, this.faults] });
    client.socket.disconnect();
    const [code = 'no code'] = codes;
    this.codes.add(code);
    // What the client has sent may be why.
    const own = this.faults.splice(before).filter((fault) => !fault.includes('#/components/messages/connect/'));
    this.faults.push(...own);
    return code;
  }

  #packet(name: string, type: string, data: unknown): void {
    if (typeof data !== 'string' || !data.startsWith(type)) return;
    this.note(name, JSON.parse(data.slice(1) || '{}'));
  }
}
