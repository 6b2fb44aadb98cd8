/**
 * Whether a body is compressed, or encoded in some other way (RFC 9110, 8.4).
 *
 * @param header - `Content-Encoding`, as received
 */
export function isEncoded(header: string | undefined): boolean {
  const encoding = header?.trim().toLowerCase() ?? '';
  return encoding !== '' && encoding !== 'identity';
}
