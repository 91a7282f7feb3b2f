import t from 'tap'
import type { Listing } from '../../../src/core/entry.ts'
import { FolderBrowser } from '../../../web/picker/state/folder.ts'
import type { PageRequest, FolderRef } from '../../../web/picker/api.ts'
import { PickerProblem } from '../../../web/picker/problem.ts'
import { Deferred } from '../../support/time/deferred.ts'
import { entryOf, folderOf } from '../../support/picker/entries.ts'
import { listingOf, PickerWorld } from '../../support/picker/world.ts'

const ROOT: FolderRef = { provider: 's3', connectionId: 's3-1', folderId: null }

type ListHandler = (folder: FolderRef, request: PageRequest) => Listing

function createBrowser(list: ListHandler): {
  browser: FolderBrowser
  world: PickerWorld
  requests: (FolderRef & PageRequest)[]
} {
  const world = new PickerWorld()
  const requests: (FolderRef & PageRequest)[] = []
  world.api.list = async (folder, request) => {
    requests.push({ ...folder, ...request })
    return list(folder, request)
  }
  return {
    browser: new FolderBrowser(
      () => world.api,
      () => 200,
      world.options()
    ),
    world,
    requests
  }
}

const names = ({ pages }: FolderBrowser): string[] => (pages?.entries ?? []).map(({ name }) => name)

t.test('a folder is entered and left again, and the focus returns to its row', async (t) => {
  const folder = folderOf('Invoices/')
  const { browser, requests } = createBrowser(({ folderId }) =>
    listingOf(folderId === null ? [folder] : [entryOf('x')])
  )
  await browser.open(ROOT, 'My s3')
  await browser.enter(folder)
  t.same(browser.breadcrumbs, [
    { id: null, name: 'My s3' },
    { id: 'Invoices/', name: 'Invoices' }
  ])
  t.same(names(browser), ['x'])
  await browser.openAncestor(0)
  t.equal(browser.previousChildId, 'Invoices/')
  t.same(
    requests.map(({ folderId }) => folderId),
    [null, 'Invoices/', null]
  )
})

t.test('a start folder inside of a tree has its name and a way up', async (t) => {
  const { browser } = createBrowser(({ folderId }) =>
    listingOf([], {}, { id: folderId, name: `named ${folderId ?? ''}`, parentId: 'b' })
  )
  await browser.open({ ...ROOT, folderId: 'c' }, 'My s3')
  t.same(browser.breadcrumbs, [
    { id: null, name: 'My s3' },
    { id: 'b', name: null },
    { id: 'c', name: 'named c' }
  ])
})

t.test('pages are appended, and folders stay first', async (t) => {
  const { browser, requests } = createBrowser((_place, { cursor }) =>
    cursor === undefined
      ? listingOf([entryOf('b'), folderOf('z/')], { next: '2' })
      : listingOf([folderOf('y/'), entryOf('a'), entryOf('b')])
  )
  await browser.open(ROOT, '')
  t.same(names(browser), ['z', 'b'])
  t.equal(browser.pages?.reason, 'more')
  await browser.loadMore()
  t.same(names(browser), ['z', 'y', 'b', 'a'], 'a repeated entry is shown once')
  t.equal(browser.pages?.reason, null)
  await browser.loadMore()
  t.equal(requests.length, 2)
})

t.test('an incomplete page stays reported when more pages arrive', async (t) => {
  const { browser } = createBrowser((_place, { cursor }) =>
    cursor === undefined ? listingOf([], { next: '2', reason: 'provider-partial' }) : listingOf([])
  )
  await browser.open(ROOT, '')
  await browser.loadMore()
  t.equal(browser.pages?.reason, 'provider-partial')
})

t.test('empty pages are followed for a while, and then on request', async (t) => {
  const { browser, requests } = createBrowser(() => listingOf([], { next: 'on' }))
  await browser.open(ROOT, '')
  for (let page = 0; page < 20; page++) await browser.loadMore()
  t.equal(requests.length, 6)
  await browser.loadMore(true)
  t.equal(requests.length, 7)
})

t.test('an expired cursor reloads the folder, once automatically', async (t) => {
  const { browser, requests, world } = createBrowser((_place, { cursor }) => {
    if (cursor !== undefined) throw new PickerProblem('CURSOR_EXPIRED', { status: 410 })
    return listingOf([entryOf('a')], { next: '2' })
  })
  await browser.open(ROOT, '')
  await browser.loadMore()
  t.equal(browser.wasReloaded, true)
  t.same(names(browser), ['a'])
  t.equal(requests.at(-1)?.refresh, true)
  t.same(world.problems, [])
  await browser.loadMore()
  t.equal(browser.paging.problem?.code, 'CURSOR_EXPIRED')
  await browser.loadMore()
  t.equal(requests.length, 4, 'no more pages are requested')
})

t.test('a failed page removes nothing, and is requested again by the user', async (t) => {
  let fails = true
  const { browser } = createBrowser((_place, { cursor }) => {
    if (cursor === undefined) return listingOf([entryOf('a')], { next: '2' })
    if (fails) throw new PickerProblem('PROVIDER_ERROR')
    return listingOf([entryOf('b')])
  })
  await browser.open(ROOT, '')
  await browser.loadMore()
  t.same(names(browser), ['a'])
  fails = false
  await browser.paging.retry()
  t.same(names(browser), ['a', 'b'])
})

t.test('a refresh requests the current listing and shows the old one until then', async (t) => {
  let isThere = true
  const { browser, requests } = createBrowser(() => listingOf(isThere ? [entryOf('a')] : []))
  await browser.open(ROOT, '')
  isThere = false
  const reloading = browser.reload()
  t.same(names(browser), ['a'])
  await reloading
  t.same(names(browser), [])
  t.same(
    requests.map(({ refresh }) => refresh),
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
