/** What Dropbox tells of something, unchecked. */
export type Facts = Readonly<Record<string, unknown>>
