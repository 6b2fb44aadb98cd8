/** How much is handed to one client at a time. All in bytes. */
export interface DeliveryLimits {
  /** Of a client that has more than this waiting, the live feed turns away: it catches up at its own pace. */
  readonly softMark: number;
  /** Published to live clients between two looks at what waits for them, and so in one turn of the loop. */
  readonly published: number;
  /** Under way to a client that catches up. */
  readonly maxWindow: number;
}

const SOFT_MARK = 256 * 1024;
const PUBLISHED = 128 * 1024;
const MAX_WINDOW = 256 * 1024;

/**
 * Limits that together stay below what uWebSockets.js takes before it drops something, so that it never does.
 *
 * @param maxBackpressureBytes - `MAX_BACKPRESSURE`
 */
export function deliveryLimits(maxBackpressureBytes: number): DeliveryLimits {
  const share = Math.floor(maxBackpressureBytes / 4);
  return {
    softMark: Math.min(SOFT_MARK, share),
    published: Math.min(PUBLISHED, share),
    maxWindow: Math.min(MAX_WINDOW, share),
  };
}
