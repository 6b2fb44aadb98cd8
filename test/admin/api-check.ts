import { DocumentSchemas, type Tree, at, below, tree } from '../contract/document-schemas.js';
import type { Pod } from '../support/pod.js';

/** What a request brings along. */
export interface Call {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as it is if it is text or bytes, else as JSON. */
  readonly body?: unknown;
}

/** Calls a live admin port and holds every answer against an OpenAPI document. */
export class ApiCheck {
  /** `operation status code` of what was answered; the code is of problems only. */
  readonly seen = new Set<string>();
  /** What is not as the document says. */
  readonly faults: string[] = [];
  readonly #document: Tree;
  readonly #schemas: DocumentSchemas;

  constructor(document: Tree) {
    this.#document = document;
    this.#schemas = new DocumentSchemas(document, { draft: 2020, isClosed: true });
  }

  /** Sends a request; what is wrong with its answer goes to {@link faults}. Returns status and code. */
  async call(pod: Pod, path: string, { method = 'GET', headers = {}, body }: Call = {}): Promise<string> {
    const isRaw = typeof body === 'string' || body instanceof Uint8Array;
    const answer = await fetch(pod.adminUrl + path, {
      method,
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body: Buffer.from(isRaw ? (body as string) : JSON.stringify(body)) }),
    });
    return this.check(method, path, { status: answer.status, headers: answer.headers, body: await answer.text() });
  }

  /** Holds an answer against the document. */
  check(
    method: string,
    path: string,
    answer: { status: number; headers: { get(name: string): string | null | undefined }; body: string },
  ): string {
    const { operationId, pointer } = this.#find(method, path.split('?')[0] ?? '', answer.status);
    const response = tree(at(this.#document, pointer));
    const where = `${method} ${path}: ${answer.status}`;
    const mediaType = answer.headers.get('content-type')?.split(';')[0] ?? '';
    const content = tree(response['content']);
    if (content[mediaType] === undefined) {
      this.faults.push(`${where} of type "${mediaType}" is not in the document: ${answer.body.slice(0, 300)}`);
      return String(answer.status);
    }
    const value: unknown = mediaType.endsWith('json') ? JSON.parse(answer.body) : answer.body;
    this.#hold(where, below(pointer, 'content', mediaType, 'schema'), value);
    for (const name of Object.keys(tree(response['headers']))) {
      const header = answer.headers.get(name) ?? undefined;
      // The one header that not every answer of its status has.
      if (header === undefined && name === 'Idempotent-Replayed') continue;
      this.#hold(`${where}, ${name}`, below(pointer, 'headers', name, 'schema'), header);
      if (header !== undefined) this.seen.add(`${operationId} ${name}`);
    }
    const { code } = tree(mediaType === 'application/problem+json' ? value : undefined) as { code?: string };
    const result = code === undefined ? String(answer.status) : `${answer.status} ${code}`;
    this.seen.add(`${operationId} ${result}`);
    return result;
  }

  /** All that can be answered, as in {@link seen}. */
  documented(): string[] {
    const all: string[] = [];
    for (const [path, item] of Object.entries(tree(this.#document['paths']))) {
      for (const [method, operation] of Object.entries(tree(item))) {
        const { operationId, responses } = tree(operation);
        for (const [status, response] of Object.entries(tree(responses))) {
          const pointer = below('#/paths', path, method, 'responses', status, 'content', 'application/problem+json');
          const codes = at(this.#document, `${pointer}/schema/allOf/1/properties/code/enum`) as string[] | undefined;
          const names = Object.keys(tree(tree(response)['headers']));
          all.push(
            ...[...(codes ?? ['']).map((code) => `${status} ${code}`.trim()), ...names].map(
              (one) => `${String(operationId)} ${one}`,
            ),
          );
        }
      }
    }
    return all;
  }

  #find(method: string, path: string, status: number): { operationId: string; pointer: string } {
    const paths = Object.keys(tree(this.#document['paths']));
    // A parameter stands for one segment.
    const template = paths.find((one) => one.replace(/\{.*\}$/, '') === path.replace(/[^/]*$/, '') && one !== path);
    const named = paths.includes(path) ? path : (template ?? path);
    const item = tree(at(this.#document, below('#/paths', named)));
    const operation = tree(item[method.toLowerCase()]);
    const shared = status === 404 ? 'NotFound' : 'MethodNotAllowed';
    if (Object.keys(operation).length === 0) {
      // What holds for every path, and for none of them in particular.
      if (Object.keys(item).length > 0 !== (status === 405))
        this.faults.push(`${method} ${path} is answered ${status}`);
      return { operationId: shared, pointer: `#/components/responses/${shared}` };
    }
    return {
      operationId: String(operation['operationId']),
      pointer: below('#/paths', named, method.toLowerCase(), 'responses', status),
    };
  }

  #hold(where: string, pointer: string, value: unknown): void {
    const fault = this.#schemas.fault(pointer, value);
    if (fault !== undefined) this.faults.push(`${where}: ${fault}`);
  }
}
