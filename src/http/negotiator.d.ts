declare module 'negotiator' {
  export default class Negotiator {
    constructor(request: { readonly headers: Readonly<Record<string, string>> })
    /** Returns the accepted codings of `available`, the most preferred first. `preferred` breaks ties. */
    encodings(available: readonly string[], options: { readonly preferred: readonly string[] }): string[]
  }
}
