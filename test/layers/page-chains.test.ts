import fc from 'fast-check'
import t from 'tap'
import type { EntryPage, IncompleteReason } from '../../src/core/entry.ts'
import type { StorageBackend } from '../../src/core/backend.ts'
import { interceptCalls, runCall } from '../../src/layers/layer.ts'
import { withPageGuard } from '../../src/layers/page-guard.ts'
import { entry, page, ScriptedBackend } from '../support/backend/scripted-backend.ts'

const LIMIT = 5
const signal = new AbortController().signal

/** Serves pages by cursor, `null` for the first one. Fails for an unknown cursor. */
function serve(pages: ReadonlyMap<string | null, EntryPage>): StorageBackend {
  const bare = new ScriptedBackend()
  bare.list = async (_folder, { cursor = null }) => {
    const found = pages.get(cursor)
    if (found === undefined) throw new Error(`the provider never gave ${JSON.stringify(cursor)}`)
    return found
  }
  return bare
}

/** Returns all pages of a chain. Each is read through a new guard, as with instances behind a balancer. */
async function walk(backend: StorageBackend, maxPages = 10_000): Promise<EntryPage[]> {
  const shown: EntryPage[] = []
  let cursor: string | undefined
  do {
    const guarded = interceptCalls(backend, withPageGuard(runCall, { maxPages }))
    const next = await guarded.listFolder(null, { limit: LIMIT, signal, ...(cursor !== undefined && { cursor }) })
    shown.push(next)
    cursor = next.next ?? undefined
  } while (cursor !== undefined)
  return shown
}

const cursors = (max: number) =>
  fc.uniqueArray(fc.string({ minLength: 1, unit: 'binary' }), { minLength: 1, maxLength: max })

const idsOf = (pages: readonly EntryPage[]) => pages.flatMap(({ entries }) => entries.map(({ id }) => id))

t.test('a correct chain of pages passes without loss, in order and complete', async (t) => {
  const chain = fc.record({
    cursors: cursors(40),
    sizes: fc.array(fc.nat({ max: LIMIT }), { minLength: 41, maxLength: 41 })
  })
  await fc.assert(
    fc.asyncProperty(chain, async ({ cursors, sizes }) => {
      const pages = new Map<string | null, EntryPage>()
      ;[null, ...cursors].forEach((cursor, index) => {
        const entries = Array.from({ length: sizes[index] ?? 0 }, (_, at) => entry(`${index}/${at}`))
        pages.set(cursor, page(entries, cursors[index] ?? null))
      })
      const shown = await walk(serve(pages))
      if (shown.length !== pages.size || shown.at(-1)?.complete !== true) return false
      return JSON.stringify(idsOf(shown)) === JSON.stringify(idsOf([...pages.values()]))
    }),
    { numRuns: 300 }
  )
  t.pass()
})

t.test('a cycle of pages of any length ends soon after all of its entries were listed', async (t) => {
  const shape = fc.record({ before: fc.nat({ max: 70 }), length: fc.integer({ min: 1, max: 70 }) })
  await fc.assert(
    fc.asyncProperty(shape, async ({ before, length }) => {
      const pages = new Map<string | null, EntryPage>([[null, page([entry('first')], 'c1')]])
      for (let at = 1; at <= before + length; at += 1) {
        pages.set(`c${at}`, page([entry(String(at))], `c${at === before + length ? before + 1 : at + 1}`))
      }
      const shown = await walk(serve(pages))
      const bound = 2 * Math.max(before + 1, length) + length
      if (shown.length > bound || new Set(idsOf(shown)).size !== pages.size) return false
      const last = shown.at(-1)
      return last?.complete === false && last.reason === 'duplicate-cursor'
    }),
    { numRuns: 1_000 }
  )
  t.pass()
})

t.test('whatever a provider returns, the chain ends and no page contradicts itself', async (t) => {
  const reason = fc.constantFrom<(IncompleteReason | null)[]>(null, 'more', 'provider-partial', 'page-cap')
  const said = fc.record({
    ids: fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g'), { maxLength: 12 }),
    next: fc.option(fc.constantFrom('', 'c1', 'c2', 'c3', 'c4', 'c5'), { freq: 6 }),
    complete: fc.boolean(),
    reason
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(said, { minLength: 6, maxLength: 6 }),
      fc.integer({ min: 1, max: 20 }),
      async (all, maxPages) => {
        const pages = new Map<string | null, EntryPage>()
        all.forEach(({ ids, ...rest }, index) => {
          pages.set(index === 0 ? null : `c${index}`, { ...page(ids.map((id) => entry(id))), ...rest })
        })
        const shown = await walk(serve(pages), maxPages)
        return shown.length <= Math.min(maxPages, 18) && shown.every(isSound)
      }
    ),
    { numRuns: 2_000 }
  )
  t.pass()
})

function isSound({ entries, next, complete, reason }: EntryPage): boolean {
  const ids = new Set(entries.map(({ id }) => id))
  if (ids.size !== entries.length || ids.size > LIMIT) return false
  if (next !== null) return next !== '' && !complete && reason !== null
  return complete === (reason === null) && reason !== 'more'
}
