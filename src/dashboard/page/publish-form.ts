import { setText } from './dom.js';
import type { PublishToken } from './publish-token.js';

/** What the gateway answers: offsets, or a problem (RFC 9457). */
interface Answer {
  readonly offsets?: readonly string[];
  readonly title?: string;
  readonly detail?: string;
}

/** The signal that the form describes, made now. */
function signalOf(form: HTMLFormElement): object {
  const data = new FormData(form);
  const text = (name: string): string => {
    const value = data.get(name);
    return typeof value === 'string' ? value.trim() : '';
  };
  return {
    type: text('type'),
    signal: text('signal'),
    price: Number(text('price')),
    symbol: text('symbol'),
    timeframe: text('timeframe'),
    timestamp: new Date().toISOString(),
  };
}

const UNAUTHORIZED = 401;

async function publish(signal: object, token: PublishToken, onRefused: () => void): Promise<string> {
  try {
    const response = await fetch('dashboard/signals', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...token.headers },
      body: JSON.stringify(signal),
    });
    const answer = (await response.json()) as Answer;
    if (response.ok) return `Published as ${answer.offsets?.[0]?.split(':')[1] ?? 'a message'}.`;
    if (response.status === UNAUTHORIZED) onRefused();
    const why = answer.detail ?? answer.title ?? response.statusText;
    return `Not published: ${why.replace(/ Nothing was published\.$/, '')}`;
  } catch {
    return 'Not published: the gateway cannot be reached.';
  }
}

/** What the form works with. */
export interface PublishFormParts {
  /** Shows what happened. */
  readonly result: HTMLElement;
  readonly token: PublishToken;
  /** Called when the gateway refuses the token. */
  readonly onRefused: () => void;
}

/** Publishes what is entered as a signal. */
export function wirePublishForm(form: HTMLFormElement, { result, token, onRefused }: PublishFormParts): void {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void publish(signalOf(form), token, onRefused).then((text) => {
      result.className = text.startsWith('Not') ? 'bad' : 'good';
      setText(result, text);
    });
  });
}
