import t from 'tap'
import { Selection } from '../../src/picker/selection.ts'
import { entryOf } from '../support/picker-entries.ts'

const ENTRIES = ['a', 'b', 'c', 'd', 'e'].map((id) => entryOf(id))
const [A, B, C, D] = ENTRIES as [(typeof ENTRIES)[0], (typeof ENTRIES)[0], (typeof ENTRIES)[0], (typeof ENTRIES)[0]]

function selectionOf(isMultiple: boolean): { selection: Selection; ids: () => string[]; told: () => number } {
  let count = 0
  const selection = new Selection(() => count++)
  selection.isMultiple = isMultiple
  return { selection, ids: () => selection.entries.map(({ id }) => id), told: () => count }
}

t.test('one at a time, where only one is wanted', async (t) => {
  const { selection, ids } = selectionOf(false)
  selection.toggle(A)
  selection.toggle(B)
  t.same(ids(), ['b'])
  selection.extendTo('d', ENTRIES)
  t.same(ids(), ['d'])
  selection.toggleAll(ENTRIES)
  t.same(ids(), ['d'])
  selection.toggle(D)
  t.same(ids(), [])
})

t.test('a range goes from the last choice, and turns around it', async (t) => {
  const { selection, ids } = selectionOf(true)
  selection.toggle(C)
  selection.extendTo('e', ENTRIES)
  t.same(ids(), ['c', 'd', 'e'])
  selection.extendTo('a', ENTRIES)
  t.same(ids(), ['a', 'b', 'c'])
})

t.test('all are chosen, and none when all are', async (t) => {
  const { selection, ids } = selectionOf(true)
  selection.toggleAll(ENTRIES)
  t.equal(ids().length, 5)
  selection.toggleAll(ENTRIES)
  t.same(ids(), [])
})

t.test('the host is told of changes alone', async (t) => {
  const { selection, told } = selectionOf(true)
  selection.keep(() => false)
  t.equal(told(), 0)
  selection.replace(A)
  selection.replace(A)
  t.equal(told(), 1)
  selection.keep(({ id }) => id !== 'a')
  t.equal(told(), 2)
})
