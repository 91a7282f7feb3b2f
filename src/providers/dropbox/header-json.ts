/** Characters that a header cannot contain, including DEL. */
const UNSAFE = /[\u007f-\uffff]/g

/** Formats JSON in ASCII for a header ("HTTP header safe JSON", Dropbox's "HTTP documentation"). */
export function headerSafeJson(value: unknown): string {
  return JSON.stringify(value).replace(UNSAFE, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
