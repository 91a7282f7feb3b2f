/**
 * What the unique index on user, provider and account takes: 2704 bytes of a page, less what it stores beside them.
 */
export const MAX_KEY_BYTES = 2600

/**
 * Whether PostgreSQL can hold these texts as they are: it knows no NUL, and a lone surrogate would be written as
 * U+FFFD, so that two users' ids could become one.
 */
export function isStorable(...texts: string[]): boolean {
  return texts.every((text) => text.isWellFormed() && !text.includes('\0'))
}
