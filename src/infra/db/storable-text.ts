/** Limit of the unique index on user, provider and account: 2704 bytes, less its overhead. */
export const MAX_KEY_BYTES = 2600

/**
 * Returns true if PostgreSQL can store these texts unchanged. It rejects NUL, and a lone surrogate would be written
 * as U+FFFD, so that the ids of two users could become equal.
 */
export function isStorable(...texts: string[]): boolean {
  return texts.every((text) => text.isWellFormed() && !text.includes('\0'))
}
