/** Returns the length of the value's JSON text in bytes of UTF-8. */
export function jsonSize(value: unknown): number {
  const json = JSON.stringify(value) as string | undefined
  if (json === undefined) throw new TypeError('Only JSON values can be cached')
  return Buffer.byteLength(json)
}
