/** Says which field cannot be used, and why; callers make it an error of their own. */
export class UnusableSetting extends Error {
  override readonly name = 'UnusableSetting'
}
