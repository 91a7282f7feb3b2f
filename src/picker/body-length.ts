/** How long a body will be, in bytes; `null` where its headers do not tell. */
export function bodyLength({ headers }: Response): number | null {
  const length = headers.get('content-length')
  // What is compressed on the way has another length than what arrives.
  return length === null || headers.has('content-encoding') ? null : Number(length)
}
