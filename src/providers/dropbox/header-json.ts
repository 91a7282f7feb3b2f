/** All that no header can hold as it is: DEL too. */
const UNSAFE = /[\u007f-\uffff]/g

/** JSON as a header holds it: in ASCII ("HTTP header safe JSON", Dropbox's "HTTP documentation"). */
export function headerSafeJson(value: unknown): string {
  return JSON.stringify(value).replace(UNSAFE, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
