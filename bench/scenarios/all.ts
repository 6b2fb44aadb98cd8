import type { Offer } from '../options.js';
import { connect } from './connect.js';
import { http } from './http.js';
import { ingest } from './ingest.js';
import { memory } from './memory.js';

/** The scenarios, and what is run where none is asked for. */
export const OFFER: Offer = {
  scenarios: [connect, memory, http, ingest],
  picture: [
    { scenario: connect, settings: { clients: 2000, against: ['raw'] } },
    { scenario: memory, settings: { clients: 2000, against: ['raw'] } },
    { scenario: http, settings: { seconds: 1 } },
    { scenario: ingest, settings: { seconds: 2 } },
  ],
  smoke: [],
};
