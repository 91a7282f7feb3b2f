import t from 'tap'
import type { Listing } from '../../../src/core/entry.ts'
import { FolderBrowser } from '../../../web/picker/state/folder.ts'
import type { PageQuestion, Place } from '../../../web/picker/api.ts'
import { PickerProblem } from '../../../web/picker/problem.ts'
import { Deferred } from '../../support/time/deferred.ts'
import { entryOf, folderOf } from '../../support/picker/entries.ts'
import { listingOf, PickerWorld } from '../../support/picker/world.ts'

const ROOT: Place = { provider: 's3', connectionId: 's3-1', folderId: null }

type List = (place: Place, question: PageQuestion) => Listing

function browserOf(list: List): { browser: FolderBrowser; world: PickerWorld; asked: (Place & PageQuestion)[] } {
  const world = new PickerWorld()
  const asked: (Place & PageQuestion)[] = []
  world.api.list = async (place, question) => {
    asked.push({ ...place, ...question })
    return list(place, question)
  }
  return {
    browser: new FolderBrowser(
      () => world.api,
      () => 200,
      world.options()
    ),
    world,
    asked
  }
}

const names = ({ pages }: FolderBrowser): string[] => (pages?.entries ?? []).map(({ name }) => name)

t.test('a folder is entered and left again, and the focus returns to its row', async (t) => {
  const folder = folderOf('Invoices/')
  const { browser, asked } = browserOf(({ folderId }) => listingOf(folderId === null ? [folder] : [entryOf('x')]))
  await browser.open(ROOT, 'My s3')
  await browser.enter(folder)
  t.same(browser.trail, [
    { id: null, name: 'My s3' },
    { id: 'Invoices/', name: 'Invoices' }
  ])
  t.same(names(browser), ['x'])
  await browser.climb(0)
  t.equal(browser.cameFrom, 'Invoices/')
  t.same(
    asked.map(({ folderId }) => folderId),
    [null, 'Invoices/', null]
  )
})

t.test('a start folder inside of a tree has its name and a way up', async (t) => {
  const { browser } = browserOf(({ folderId }) =>
    listingOf([], {}, { id: folderId, name: `named ${folderId ?? ''}`, parentId: 'b' })
  )
  await browser.open({ ...ROOT, folderId: 'c' }, 'My s3')
  t.same(browser.trail, [
    { id: null, name: 'My s3' },
    { id: 'b', name: null },
    { id: 'c', name: 'named c' }
  ])
})

t.test('pages are appended, and folders stay first', async (t) => {
  const { browser, asked } = browserOf((_place, { cursor }) =>
    cursor === undefined
      ? listingOf([entryOf('b'), folderOf('z/')], { next: '2' })
      : listingOf([folderOf('y/'), entryOf('a'), entryOf('b')])
  )
  await browser.open(ROOT, '')
  t.same(names(browser), ['z', 'b'])
  t.equal(browser.pages?.reason, 'more')
  await browser.more()
  t.same(names(browser), ['z', 'y', 'b', 'a'], 'a repeated entry is shown once')
  t.equal(browser.pages?.reason, null)
  await browser.more()
  t.equal(asked.length, 2)
})

t.test('an incomplete page stays reported when more pages arrive', async (t) => {
  const { browser } = browserOf((_place, { cursor }) =>
    cursor === undefined ? listingOf([], { next: '2', reason: 'provider-partial' }) : listingOf([])
  )
  await browser.open(ROOT, '')
  await browser.more()
  t.equal(browser.pages?.reason, 'provider-partial')
})

t.test('empty pages are followed for a while, and then on request', async (t) => {
  const { browser, asked } = browserOf(() => listingOf([], { next: 'on' }))
  await browser.open(ROOT, '')
  for (let page = 0; page < 20; page++) await browser.more()
  t.equal(asked.length, 6)
  await browser.more(true)
  t.equal(asked.length, 7)
})

t.test('an expired cursor reloads the folder, once automatically', async (t) => {
  const { browser, asked, world } = browserOf((_place, { cursor }) => {
    if (cursor !== undefined) throw new PickerProblem('CURSOR_EXPIRED', { status: 410 })
    return listingOf([entryOf('a')], { next: '2' })
  })
  await browser.open(ROOT, '')
  await browser.more()
  t.equal(browser.isRestarted, true)
  t.same(names(browser), ['a'])
  t.equal(asked.at(-1)?.refresh, true)
  t.same(world.problems, [])
  await browser.more()
  t.equal(browser.paging.problem?.code, 'CURSOR_EXPIRED')
  await browser.more()
  t.equal(asked.length, 4, 'no more pages are requested')
})

t.test('a failed page removes nothing, and is requested again by the user', async (t) => {
  let fails = true
  const { browser } = browserOf((_place, { cursor }) => {
    if (cursor === undefined) return listingOf([entryOf('a')], { next: '2' })
    if (fails) throw new PickerProblem('PROVIDER_ERROR')
    return listingOf([entryOf('b')])
  })
  await browser.open(ROOT, '')
  await browser.more()
  t.same(names(browser), ['a'])
  fails = false
  await browser.paging.retry()
  t.same(names(browser), ['a', 'b'])
})

t.test('a refresh requests the current listing and shows the old one until then', async (t) => {
  let isThere = true
  const { browser, asked } = browserOf(() => listingOf(isThere ? [entryOf('a')] : []))
  await browser.open(ROOT, '')
  isThere = false
  const reloading = browser.reload()
  t.same(names(browser), ['a'])
  await reloading
  t.same(names(browser), [])
  t.same(
    asked.map(({ refresh }) => refresh),
    [false, true]
  )
})

t.test('a response for a folder that was left is not shown in the next one', async (t) => {
  const gate = new Deferred<undefined>()
  const world = new PickerWorld()
  world.api.list = async ({ folderId }) => {
    if (folderId === 'slow/') await gate.promise
    return listingOf([entryOf(`in ${folderId ?? 'root'}`)])
  }
  const browser = new FolderBrowser(
    () => world.api,
    () => 200,
    world.options()
  )
  const slow = browser.open({ ...ROOT, folderId: 'slow/' }, '')
  await browser.open(ROOT, '')
  gate.resolve(undefined)
  await slow
  t.same(names(browser), ['in root'])
})
