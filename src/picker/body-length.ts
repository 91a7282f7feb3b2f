/** Returns the length of the body in bytes, or `null` if the headers do not give it. */
export function bodyLength({ headers }: Response): number | null {
  const length = headers.get('content-length')
  // With a content encoding, Content-Length counts the compressed bytes, not the bytes that the body yields.
  return length === null || headers.has('content-encoding') ? null : Number(length)
}
