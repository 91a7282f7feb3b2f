import { readFileSync } from 'node:fs'
import t from 'tap'
import ts from 'typescript'
import { ROOT, sourcePaths } from './support/source/source-tree.ts'

/** The maximum length of a path, a host or a header value, and an eighth of it. */
const LONG = 32 * 1024
const SHORT = LONG / 8
/** The allowed cost of eight times the input: a linear expression costs 8 times as much, a quadratic one 64 times. */
const MAX_GROWTH = 20
/** The minimum cost of a quadratic expression on the shorter input, in microseconds; a linear one costs a tenth. */
const SUSPICIOUS_US = 400

/** Run in browsers, on data that the page already has. */
const IN_BROWSERS = /^web\//

interface Expression {
  readonly path: string
  readonly source: string
  readonly flags: string
}

function expressions(): Expression[] {
  return sourcePaths()
    .filter((path) => !IN_BROWSERS.test(path))
    .flatMap((path) => {
      const file = ts.createSourceFile(path, readFileSync(new URL(path, ROOT), 'utf8'), ts.ScriptTarget.Latest)
      const found: Expression[] = []
      const visit = (node: ts.Node): void => {
        if (ts.isRegularExpressionLiteral(node)) {
          const [, source = '', flags = ''] = /^\/(.*)\/(\w*)$/s.exec(node.text) ?? []
          found.push({ path, source, flags })
        }
        ts.forEachChild(node, visit)
      }
      visit(file)
      return found
    })
}

/** Returns strings at which an expression may restart matching: pieces of its own text, and common characters. */
function pumps(source: string): string[] {
  const literals = source
    .replace(/\\([dwsDWSbBnrt]|[pPuxk]\{?)/g, '|')
    .replace(/\\(.)/g, '$1')
    .split(/[()[\]{}|*+?^$]+/)
    .filter((text) => text !== '')
  const joined = literals.flatMap((_literal, at) => [2, 3].map((count) => literals.slice(at, at + count).join('')))
  const common = [' ', 'a', 'A', '0', '.', '-', '/', ':', '"', ',', ';', '<', '%41', 'é', '\n']
  const units = [...new Set([...literals, ...joined, ...common])]
  return [...units, ...units.flatMap((one) => [`${one}a`, `${one} `, `a${one}`, `${one}.`])]
}

const repeated = (unit: string, length: number): string => unit.repeat(Math.ceil(length / unit.length)).slice(0, length)

/** Returns the CPU microseconds of one use, the minimum of several. */
function costOf({ source, flags }: Expression, text: string, times: number): number {
  const expression = new RegExp(source, flags)
  const isGlobal = flags.includes('g')
  let least = Infinity
  for (let time = 0; time < times; time++) {
    expression.lastIndex = 0
    const before = process.cpuUsage()
    if (isGlobal) text.replace(expression, '')
    else expression.exec(text)
    const { user, system } = process.cpuUsage(before)
    least = Math.min(least, user + system)
  }
  return least
}

/** Returns the first input for which the cost of an expression grows faster than the input. */
function superlinear(expression: Expression): string | undefined {
  const inputs = pumps(expression.source).flatMap((unit) => ['', '\u0001', '"'].map((ending) => ({ unit, ending })))
  const worst = inputs.find(({ unit, ending }) => {
    const cost = (length: number, times: number): number => costOf(expression, repeated(unit, length) + ending, times)
    if (cost(SHORT, 1) < SUSPICIOUS_US) return false
    const short = cost(SHORT, 5)
    return short >= SUSPICIOUS_US && cost(LONG, 1) > MAX_GROWTH * short
  })
  return worst && `${worst.unit}… ${worst.ending}`
}

t.test('every regular expression takes linear time for 32 KB of any input', async (t) => {
  const all = expressions()
  t.ok(all.length > 100)
  for (const expression of all) {
    t.equal(superlinear(expression), undefined, `${expression.path}: /${expression.source}/${expression.flags}`)
  }
})

t.test('a quadratic expression is detected', async (t) => {
  const path = 'before'
  for (const [source, flags] of [
    [String.raw`(\b[a-z][a-z0-9+.-]*:\/\/)[^\s"\\/?#]+@`, 'gi'],
    [String.raw`(\bhttps?:\/\/[^\s"\\?]+)\?[^\s"\\]+`, 'gi'],
    [String.raw`\s+$`, '']
  ] as const) {
    t.not(superlinear({ path, source, flags }), undefined, source)
  }
})
