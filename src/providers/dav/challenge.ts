/** An authentication scheme that a server offers (RFC 9110, 11.6.1). */
export interface Challenge {
  /** In lower case. */
  readonly scheme: string
  /** Indexed by lower-case name. */
  readonly parameters: Readonly<Record<string, string | undefined>>
}

const TOKEN = "[!#$%&'*+.^_`|~\\w-]+"
const PARAMETER = new RegExp(`^(${TOKEN})\\s*=\\s*(?:"((?:[^"\\\\]|\\\\.)*)"|(${TOKEN}))\\s*(?:,\\s*|$)`, 's')
const SCHEME = new RegExp(`^(${TOKEN})(?:\\s+|\\s*,\\s*|$)`)
/** The form that `Negotiate` and similar schemes use instead of parameters. */
const TOKEN68 = /^[\w.~+/-]+=*\s*(?:,\s*|$)/

/** Parses `WWW-Authenticate`, which may contain several challenges. Stops at the first invalid one. */
export function readChallenges(header: string | undefined): Challenge[] {
  const challenges: Challenge[] = []
  let rest = header?.replace(/^[\s,]+/, '') ?? ''
  while (rest !== '') {
    const scheme = SCHEME.exec(rest)
    if (scheme === null) break
    rest = rest.slice(scheme[0].length)
    const parameters: Record<string, string> = Object.create(null) as Record<string, string>
    for (let match = PARAMETER.exec(rest); match !== null; match = PARAMETER.exec(rest)) {
      const [whole, name = '', quoted, plain = ''] = match
      parameters[name.toLowerCase()] = quoted === undefined ? plain : quoted.replace(/\\(.)/gs, '$1')
      rest = rest.slice(whole.length)
    }
    challenges.push({ scheme: scheme[1]?.toLowerCase() ?? '', parameters })
    if (Object.keys(parameters).length === 0)
      rest = rest.replace(TOKEN68, (token) => (/[=/+]/.test(token) ? '' : token))
  }
  return challenges
}
