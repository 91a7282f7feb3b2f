import t from 'tap'
import { cellAfter, type GridShape } from '../../src/picker/grid-keys.ts'
import { isNearEnd, rangeOf, topShowing } from '../../src/picker/grid-window.ts'

const VIEW = { top: 0, height: 400, rowHeight: 40 }
const SHAPE: GridShape = { rows: 100, columns: 4, pageRows: 8, isRtl: false }

t.test('of many rows those that are seen are drawn, and a few beside them', async (t) => {
  t.same(rangeOf(VIEW, 5000), { first: 0, end: 16 })
  t.same(rangeOf({ ...VIEW, top: 4000 }, 5000), { first: 94, end: 116 })
  t.same(rangeOf({ ...VIEW, top: 199_600 }, 5000), { first: 4984, end: 5000 })
  t.same(rangeOf({ ...VIEW, top: 4000 }, 3), { first: 3, end: 3 })
  t.same(rangeOf(VIEW, 0), { first: 0, end: 0 })
})

t.test('the next page is asked for a screen ahead', async (t) => {
  t.equal(isNearEnd(VIEW, 200), false)
  t.equal(isNearEnd({ ...VIEW, top: 7200 }, 200), true)
  t.equal(isNearEnd(VIEW, 3), true)
})

t.test('a row is scrolled to only where it is not seen', async (t) => {
  t.equal(topShowing(3, VIEW, 40), 0)
  t.equal(topShowing(9, VIEW, 40), 40)
  t.equal(topShowing(2, { ...VIEW, top: 400 }, 40), 80)
})

t.test('keys lead through the cells, and stop at the edges', async (t) => {
  const at = { row: 5, column: 1 }
  const go = (key: string, isCtrl = false, shape = SHAPE) => cellAfter(key, isCtrl, at, shape)
  t.same(go('ArrowDown'), { row: 6, column: 1 })
  t.same(go('ArrowUp'), { row: 4, column: 1 })
  t.same(go('ArrowRight'), { row: 5, column: 2 })
  t.same(go('ArrowLeft'), { row: 5, column: 0 })
  t.same(go('ArrowRight', false, { ...SHAPE, isRtl: true }), { row: 5, column: 0 })
  t.same(go('PageDown'), { row: 13, column: 1 })
  t.same(go('PageUp'), { row: 0, column: 1 })
  t.same(go('Home'), { row: 5, column: 0 })
  t.same(go('End'), { row: 5, column: 3 })
  t.same(go('Home', true), { row: 0, column: 0 })
  t.same(go('End', true), { row: 99, column: 3 })
  t.equal(go('x'), null)
})
