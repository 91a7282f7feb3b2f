/** The metadata of an item in a Dropbox response, unchecked. */
export type Facts = Readonly<Record<string, unknown>>
