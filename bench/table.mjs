// The end of a run: a table for people, and the rows for programs.

const COLUMNS = ['what: against whom', 'ratio', 'low', 'high', 'target', '', 'ours', 'theirs', '']

/** A row as a program reads it. `better` says which way its target is meant. */
export function resultOf({ name, ratio, low, high, target, better = 'higher' }) {
  const bound = target?.atLeast ?? target?.atMost ?? null
  return { name, ratio, low, high, target: bound, ok: isReached(ratio, target), better }
}

/** `null`: there is nothing to reach, or nothing was measured. */
function isReached(ratio, target) {
  if (target === null || ratio === null) return null
  return target.atLeast === undefined ? ratio <= target.atMost : ratio >= target.atLeast
}

export function tableOf(rows) {
  const lines = rows.map((row) => {
    const { name, ratio, low, high, target } = row
    const wanted = target === null ? '' : target.atLeast === undefined ? `≤ ${target.atMost}` : `≥ ${target.atLeast}`
    const verdict = { true: 'ok', false: 'NO', null: '' }[isReached(ratio, target)]
    const figures = [ratio, low, high].map((value) => (value === null ? '—' : short(value)))
    return [name, ...figures, wanted, verdict, row.ours ?? '', row.theirs ?? '', row.note ?? '']
  })
  const widths = COLUMNS.map((title, index) => Math.max(...[COLUMNS, ...lines].map((line) => line[index].length)))
  // Words stand at the left, figures at the right.
  const isWords = new Set([0, 5, 8])
  const format = (line) =>
    line
      .map((cell, index) => (isWords.has(index) ? cell.padEnd(widths[index]) : cell.padStart(widths[index])))
      .join('  ')
      .trimEnd()
  return [format(COLUMNS), ...lines.map(format)].join('\n')
}

const short = (value) => (Math.abs(value) < 100 ? value.toFixed(value < 10 ? 3 : 1) : value.toFixed(0))
