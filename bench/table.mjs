// The output of a run: a table in Markdown for people, and rows for programs.

const COLUMNS = ['row', 'target', 'before', 'now', 'interval', 'ours', 'theirs', 'note']
/** Columns of figures are aligned to the right. */
const FIGURES = new Set(['target', 'before', 'now', 'ours', 'theirs'])

/** Returns a row for programs. `better` is the direction of its target. */
export function resultOf({
  name,
  ratio,
  low,
  high,
  target,
  better = target?.atMost === undefined ? 'higher' : 'lower'
}) {
  const bound = target?.atLeast ?? target?.atMost ?? null
  return { name, ratio, low, high, target: bound, ok: isReached(ratio, target), better }
}

/** Returns whether the target is reached; `null` without a target or a measurement. */
function isReached(ratio, target) {
  if (target === null || ratio === null) return null
  return target.atLeast === undefined ? ratio <= target.atMost : ratio >= target.atLeast
}

/**
 * Returns the rows as a table in Markdown, with misses of a target in bold.
 *
 * @param before the ratios of another run by the names of their rows, for a column of their own
 */
export function tableOf(rows, before = new Map()) {
  const lines = rows.map((row) => {
    const { name, ratio, low, high, target, ours = '', theirs = '', note = '' } = row
    const wanted = target === null ? '' : target.atLeast === undefined ? `≤ ${target.atMost}` : `≥ ${target.atLeast}`
    const now = isReached(ratio, target) === false ? `**${short(ratio)}**` : short(ratio)
    const interval = ratio === null ? '' : `${short(low)} – ${short(high)}`
    return { row: name, target: wanted, before: short(before.get(name)), now, interval, ours, theirs, note }
  })
  const columns = before.size === 0 ? COLUMNS.filter((column) => column !== 'before') : COLUMNS
  return markdown(columns, lines)
}

function markdown(columns, lines) {
  const width = (column) => Math.max(column.length, ...lines.map((line) => line[column].length))
  const widths = columns.map(width)
  const pad = (text, place) => (FIGURES.has(columns[place]) ? text.padStart(widths[place]) : text.padEnd(widths[place]))
  const format = (cells) => `| ${cells.map(pad).join(' | ')} |`
  const rule = columns.map((column, place) => '-'.repeat(widths[place] - 1) + (FIGURES.has(column) ? ':' : '-'))
  return [format(columns), format(rule), ...lines.map((line) => format(columns.map((column) => line[column])))].join(
    '\n'
  )
}

function short(value) {
  if (value === null || value === undefined) return '–'
  return Math.abs(value) < 100 ? value.toFixed(value < 10 ? 3 : 1) : value.toFixed(0)
}
