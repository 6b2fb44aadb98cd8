import { Decoder, Encoder } from 'socket.io-parser';
import { isCostly } from './message-shape.js';

/** Socket.IO's decoder, but that it does not take what would hold up the loop. */
class WaryDecoder extends Decoder {
  /** @throws if it is not a packet, or costs too much to decode */
  override add(data: unknown): void {
    if (typeof data === 'string' && isCostly(data)) throw new Error('too many values in one message');
    super.add(data);
  }
}

/** What Socket.IO reads and writes packets with: its option `parser`. */
export const parser = { Encoder, Decoder: WaryDecoder };
