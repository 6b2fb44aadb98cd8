import { EXAMPLES } from '../contract/examples.js';
import { type Json, schemaRef } from '../contract/json-schema.js';
import { PROBLEMS, type ProblemCode } from '../errors.js';

/** Headers that come with every answer of a status. */
const HEADERS: Readonly<Record<number, Json>> = {
  401: { 'WWW-Authenticate': { description: 'Always `Bearer`.', schema: { const: 'Bearer' } } },
  405: { Allow: { description: 'The methods that the path takes.', schema: { type: 'string' } } },
  503: { 'Retry-After': { description: 'Seconds.', schema: { type: 'string', pattern: '^[0-9]+$' } } },
};

/** The answer with a status, which has one of the codes. */
export function problem(http: number, codes: readonly ProblemCode[]): Json {
  const code = codes[0] ?? 'internal';
  const { title } = PROBLEMS[code];
  const example = { type: `urn:signal-gateway:problem:${code}`, title, status: http, code, detail: `${title}.` };
  const isGone = http === 410;
  return {
    description: codes.map((one) => `\`${one}\`: ${PROBLEMS[one].title}.`).join(' '),
    ...(HEADERS[http] && { headers: HEADERS[http] }),
    content: {
      'application/problem+json': {
        schema: {
          allOf: [
            schemaRef('Problem'),
            {
              properties: { status: { const: http }, code: { enum: codes } },
              ...(isGone && { required: ['oldest'] }),
            },
          ],
        },
        example: { ...example, ...(isGone && { oldest: EXAMPLES.offset }) },
      },
    },
  };
}

/** The answers with these codes, and with those that every request may get. */
export function problems(...codes: readonly ProblemCode[]): Json {
  const byStatus = new Map<number, ProblemCode[]>();
  for (const code of [...codes, 'bad_request', 'headers_too_large', 'internal'] as const) {
    const { status: http } = PROBLEMS[code];
    byStatus.set(http, [...(byStatus.get(http) ?? []), code]);
  }
  return Object.fromEntries([...byStatus].map(([http, ofStatus]) => [http, problem(http, ofStatus)]));
}

/** An answer in JSON. */
export function answer(description: string, schema: Json, example: unknown): Json {
  return { description, content: { 'application/json': { schema, example } } };
}
