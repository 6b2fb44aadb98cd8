/** Most messages in one request to the publish API. */
export const MAX_PUBLISH_BATCH = 1000;

/** Longest `Idempotency-Key`, in characters. */
export const MAX_KEY_LENGTH = 255;

/** An `Idempotency-Key` consists of visible ASCII characters and spaces. */
export const KEY_SHAPE = /^[\x20-\x7e]+$/;
