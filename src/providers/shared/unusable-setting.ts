/** Names an invalid field and the reason; callers convert it to their own error. */
export class UnusableSetting extends Error {
  override readonly name = 'UnusableSetting'
}
