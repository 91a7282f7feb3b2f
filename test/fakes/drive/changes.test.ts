import { drive } from 'googleapis/build/src/apis/drive/index.js'
import type { drive_v3 } from 'googleapis/build/src/apis/drive/v3.js'
import t, { type Test } from 'tap'
import { sendRequest, takeMistakes } from '../../support/dav/requests.ts'
import { FAKE_DRIVE_TOKEN, FakeDrive } from './fake-drive.ts'
import type { FakeDriveNode } from './node.ts'

const ALL_DRIVES = { supportsAllDrives: true, includeItemsFromAllDrives: true }
const DRIVE_FLAGS = { supportsAllDrives: 'true', includeItemsFromAllDrives: 'true' }
const FIELDS =
  'nextPageToken,newStartPageToken,changes(changeType,removed,fileId,driveId,file(id,name,parents,trashed))'
const headers = { authorization: `Bearer ${FAKE_DRIVE_TOKEN}` }

interface ErrorBody {
  readonly errors: readonly { readonly reason: string; readonly location?: string }[]
}

type Json = drive_v3.Schema$StartPageToken & drive_v3.Schema$ChangeList & { readonly error?: ErrorBody }

/** Sends requests without a client; `path` is relative to `/drive/v3/`. */
async function startFakeDrive(t: Test) {
  const fake = await FakeDrive.start(t)
  const send = async (path: string, query: Record<string, string>) => {
    const { status, text } = await sendRequest(
      `${fake.url}/drive/v3/${path}?${new URLSearchParams(query).toString()}`,
      {
        headers
      }
    )
    const json = JSON.parse(text) as Json
    const [error] = json.error?.errors ?? []
    return { status, json, reason: error?.reason, location: error?.location }
  }
  return { fake, send }
}

t.test('the logs of changes lead the official client to the end, where the next position is', async (t) => {
  const fake = await FakeDrive.start(t)
  const { changes } = drive({
    version: 'v3',
    rootUrl: `${fake.url}/`,
    headers,
    retry: false,
    fetchImplementation: fetch
  })
  const { data: begin } = await changes.getStartPageToken({ supportsAllDrives: true, fields: 'startPageToken' })
  const folder = fake.tree.addFolder({ name: 'folder' })
  const file = fake.tree.addFile({ name: 'file', parent: folder })
  const gone = fake.tree.addFile({ name: 'gone' })
  fake.tree.rename(folder, 'renamed')
  fake.tree.remove(gone)
  const asked = { ...ALL_DRIVES, pageSize: 2, fields: FIELDS }
  const { data: first } = await changes.list({ ...asked, pageToken: begin.startPageToken ?? '' })
  t.same(first.changes, [
    { changeType: 'file', removed: false, fileId: file.id, file: describe(file) },
    { changeType: 'file', removed: false, fileId: folder.id, file: describe(folder) }
  ])
  t.same(Object.keys(first).sort(), ['changes', 'nextPageToken'])
  const { data: last } = await changes.list({ ...asked, pageToken: first.nextPageToken ?? '' })
  t.same(last.changes, [{ changeType: 'file', removed: true, fileId: gone.id }], 'a deletion has only the ID')
  t.same(Object.keys(last).sort(), ['changes', 'newStartPageToken'])
  const { data: nothing } = await changes.list({ ...asked, pageToken: last.newStartPageToken ?? '' })
  t.same(nothing, { changes: [], newStartPageToken: last.newStartPageToken })
})

t.test('the logs of changes are one for the user and one for each shared drive', async (t) => {
  const { fake, send } = await startFakeDrive(t)
  const drive = fake.tree.addDrive('Team')
  const start = async (query: Record<string, string> = {}) =>
    (await send('changes/startPageToken', { supportsAllDrives: 'true', fields: 'startPageToken', ...query })).json
      .startPageToken ?? ''
  const list = async (pageToken: string, query: Record<string, string> = {}) =>
    send('changes', { ...DRIVE_FLAGS, pageSize: '100', fields: FIELDS, pageToken, ...query })
  const [user, team] = [await start(), await start({ driveId: drive.id })]
  const file = fake.tree.addFile({ name: 'file', parent: drive })
  t.same((await list(user)).json.changes, [])
  t.match((await list(team, { driveId: drive.id })).json.changes, [{ fileId: file.id }])
  t.match(await list(user, { driveId: drive.id }), { status: 400, reason: 'invalid', location: 'pageToken' })
  t.match(await list(team), { status: 400, reason: 'invalid', location: 'pageToken' })
  fake.tree.rename(drive, 'renamed')
  t.match((await list(user)).json.changes, [{ changeType: 'drive', driveId: drive.id, removed: false }])
  t.same((await list(user, { includeItemsFromAllDrives: 'false' })).json.changes, [])
  fake.tree.remove(drive)
  t.match((await list(user)).json.changes, [{ changeType: 'drive', driveId: drive.id, removed: true }])
  t.match(await list(team, { driveId: drive.id }), { status: 404, location: 'driveId' })
  fake.journal.losePositions()
  t.match(await list(user), { status: 400, reason: 'invalid', location: 'pageToken' })
  t.equal((await list(await start())).status, 200)
})

t.test('the logs of changes omit items of folders that others share, and removed items if requested', async (t) => {
  const { fake, send } = await startFakeDrive(t)
  const theirs = fake.tree.addFolder({ name: 'theirs', sharedWithMe: true })
  const { json } = await send('changes/startPageToken', { fields: 'startPageToken' })
  const query = { ...DRIVE_FLAGS, pageSize: '100', fields: FIELDS, pageToken: json.startPageToken ?? '' }
  const below = fake.tree.addFile({ name: 'below', parent: theirs })
  t.same((await send('changes', query)).json.changes, [])
  const own = fake.tree.addFile({ name: 'own' })
  fake.tree.move(below, fake.tree.root)
  t.match((await send('changes', query)).json.changes, [{ fileId: own.id }, { fileId: below.id, removed: false }])
  fake.tree.move(below, theirs)
  t.match((await send('changes', query)).json.changes, [{ fileId: own.id }, { fileId: below.id, removed: true }])
  const visible = await send('changes', { ...query, includeRemoved: 'false' })
  t.match(visible.json.changes, [{ fileId: own.id }])
})

t.test('positions stay valid when the logs become later', async (t) => {
  const { fake, send } = await startFakeDrive(t)
  fake.tree.addFile({ name: 'first' })
  const position = (await send('changes/startPageToken', { fields: 'startPageToken' })).json.startPageToken ?? ''
  const query = { ...DRIVE_FLAGS, pageSize: '100', fields: FIELDS, pageToken: position }
  fake.knobs.changeLagMs = 60_000
  const file = fake.tree.addFile({ name: 'second' })
  t.same((await send('changes', query)).json, { changes: [], newStartPageToken: position })
  fake.knobs.changeLagMs = 0
  t.match((await send('changes', query)).json.changes, [{ fileId: file.id }])
})

t.test('the logs of changes refuse requests that no client should send', async (t) => {
  const { fake, send } = await startFakeDrive(t)
  const drive = fake.tree.addDrive('Team')
  const query = { ...DRIVE_FLAGS, pageSize: '100', fields: FIELDS, pageToken: '1' }
  const { pageToken: _, ...withoutToken } = query
  t.match(await send('changes', withoutToken), { status: 400, reason: 'required', location: 'pageToken' })
  for (const flags of [{ supportsAllDrives: 'false' }, { driveId: drive.id, includeItemsFromAllDrives: 'false' }]) {
    t.equal((await send('changes', { ...query, ...flags })).status, 400)
  }
  t.equal((await send('changes/startPageToken', { fields: 'startPageToken', driveId: drive.id })).status, 400)
  t.same(takeMistakes(fake), [])
  for (const [mistake, asked] of [
    ['the parameter restrictToMyDrive', { ...query, restrictToMyDrive: 'true' }],
    ['spaces=appDataFolder', { ...query, spaces: 'appDataFolder' }],
    ['no boolean in includeRemoved', { ...query, includeRemoved: '1' }]
  ] as const) {
    t.equal((await send('changes', asked)).status, 400)
    t.same(takeMistakes(fake), [mistake])
  }
})

function describe({ id, name, parent, trashed }: FakeDriveNode) {
  return { id, name, parents: [parent], trashed }
}
