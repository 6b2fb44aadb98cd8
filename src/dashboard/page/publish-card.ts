import { element, setText } from './dom.js';
import type { PageInfo } from '../dashboard-info.js';
import { wirePublishForm } from './publish-form.js';
import type { PublishToken } from './publish-token.js';

/** How to get access: with nothing to present, and with something that the gateway refuses. */
const HOW = {
  link: {
    label: 'The link, or the token in it',
    none: 'To publish from this page, open the link that the gateway logs when it starts. It ends with #publish=… and a token.',
    wrong:
      'Either the gateway was restarted, or the link is from another pod. Open the newest link from the log of this pod.',
  },
  api_key: {
    label: 'A key of the gateway (API_KEY)',
    none: 'To publish from this page, enter a key of the gateway.',
    wrong: 'This key is not in API_KEY. Enter another one.',
  },
} as const;

/** The card that publishes a signal, for whoever presents what the gateway asks for; others are told what to present. */
export class PublishCard {
  readonly #token: PublishToken;
  readonly #card = element('publish', HTMLElement);
  readonly #form = element('publish-form', HTMLFormElement);
  readonly #keyForm = element('publish-key-form', HTMLFormElement);
  readonly #key = element('publish-key', HTMLInputElement);
  /** Whether the form gets the focus when it appears: the field that had it disappears. */
  #entered = false;

  /** @param ask - asks the pod again whether the page may publish */
  constructor(token: PublishToken, ask: () => void) {
    this.#token = token;
    const result = element('publish-result', HTMLElement);
    wirePublishForm(this.#form, { result, token, onRefused: ask });
    this.#keyForm.addEventListener('submit', (event) => {
      event.preventDefault();
      token.take(this.#key.value);
      this.#key.value = '';
      this.#entered = true;
      ask();
    });
    // The link may be opened in a tab that already shows the page: then nothing is loaded again.
    addEventListener('hashchange', () => {
      if (token.takeFromAddress()) ask();
    });
    token.takeFromAddress();
  }

  /** Shows what the pod says about the page's right to publish. */
  show({ mayPublish, publishWith }: PageInfo): void {
    const how = HOW[publishWith];
    setText(element('publish-key-label', HTMLElement), how.label);
    setText(element('publish-how', HTMLElement), this.#token.value === '' ? how.none : how.wrong);
    this.#form.hidden = !mayPublish;
    this.#keyForm.hidden = mayPublish;
    this.#card.hidden = false;
    if (mayPublish && this.#entered) this.#form.querySelector<HTMLElement>('input:checked')?.focus();
    this.#entered = false;
  }
}
