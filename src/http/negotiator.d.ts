declare module 'negotiator' {
  export default class Negotiator {
    constructor(request: { readonly headers: Readonly<Record<string, string>> })
    /** Those of `available` that the client accepts, the one that it likes best first. `preferred` decides a draw. */
    encodings(available: readonly string[], options: { readonly preferred: readonly string[] }): string[]
  }
}
