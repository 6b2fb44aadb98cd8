import type { Offer } from '../options.js';
import { attacks } from './attacks.js';
import { burst } from './burst.js';
import { comeback } from './comeback.js';
import { compression } from './compression.js';
import { connect } from './connect.js';
import { crosscheck } from './crosscheck.js';
import { fanout } from './fanout.js';
import { few } from './few.js';
import { http } from './http.js';
import { idle } from './idle.js';
import { ingest } from './ingest.js';
import { memory } from './memory.js';
import { pods } from './pods.js';
import { saturation } from './saturation.js';
import { slow } from './slow.js';
import { storm } from './storm.js';
import { topics } from './topics.js';

/** The scenarios, and what is run where none is asked for. */
export const OFFER: Offer = {
  scenarios: [
    fanout,
    few,
    saturation,
    burst,
    topics,
    pods,
    slow,
    storm,
    comeback,
    attacks,
    connect,
    memory,
    idle,
    http,
    ingest,
    compression,
    crosscheck,
  ],
  // About two minutes. Three runs of everything, since fewer are marked.
  picture: [
    {
      scenario: fanout,
      settings: { clients: 1000, seconds: 3, workers: 1, warmUp: 2000, against: ['raw', 'stock-uws'] },
    },
    { scenario: connect, settings: { clients: 2000, against: ['raw'] } },
    { scenario: memory, settings: { clients: 2000, against: ['raw'] } },
    { scenario: ingest, settings: { seconds: 2 } },
  ],
  // Under a minute, also on a machine that is busy with something else.
  smoke: [
    { scenario: fanout, settings: { clients: 200, seconds: 2, workers: 1, warmUp: 1000, against: ['raw'] } },
    { scenario: memory, settings: { clients: 500, workers: 1, against: [] } },
  ],
};
