import t from 'tap'
import { connectGoogle, openWorld, row, startWorld } from './world-page.ts'

const world = await startWorld(t)

t.test('a file that was added in Google Drive appears in the open folder, and disappears again', async (t) => {
  const page = await openWorld(t, world)
  const watching = page.waitForResponse((response) => {
    const { pathname, searchParams } = new URL(response.url())
    return pathname === '/cloud/events' && searchParams.get('folder') === 'root' && response.ok()
  })
  await row(page, 'Handbook').waitFor()
  await watching
  await connectGoogle(page, world)
  await row(page, 'Five thousand').waitFor()
  const { tree } = world.google.drive
  const file = tree.addFile({ name: 'Added by another.txt', content: 'new' })
  await row(page, 'Added by another.txt').waitFor()
  tree.trash(file)
  await row(page, 'Added by another.txt').waitFor({ state: 'detached' })
})

t.test('a folder that was created in one tab appears in the other', async (t) => {
  const first = await openWorld(t, world)
  const second = await openWorld(t, world)
  for (const page of [first, second]) await row(page, 'Handbook').waitFor()
  await first.getByRole('button', { name: 'New folder' }).click()
  await first.getByLabel('Folder name').fill('Shared by tabs')
  await first.getByRole('button', { name: 'Create', exact: true }).click()
  await row(second, 'Shared by tabs').waitFor()
})
