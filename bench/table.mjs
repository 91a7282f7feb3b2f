// The output of a run: a table for people, and rows for programs.

const COLUMNS = ['case: compared with', 'ratio', 'low', 'high', 'target', '', 'ours', 'theirs', '']

/** Returns a row for programs. `better` is the direction of its target. */
export function resultOf({ name, ratio, low, high, target, better = 'higher' }) {
  const bound = target?.atLeast ?? target?.atMost ?? null
  return { name, ratio, low, high, target: bound, ok: isReached(ratio, target), better }
}

/** Returns whether the target is reached; `null` without a target or a measurement. */
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
  // Words are aligned to the left, figures to the right.
  const isWords = new Set([0, 5, 8])
  const format = (line) =>
    line
      .map((cell, index) => (isWords.has(index) ? cell.padEnd(widths[index]) : cell.padStart(widths[index])))
      .join('  ')
      .trimEnd()
  return [format(COLUMNS), ...lines.map(format)].join('\n')
}

const short = (value) => (Math.abs(value) < 100 ? value.toFixed(value < 10 ? 3 : 1) : value.toFixed(0))
