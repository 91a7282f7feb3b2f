import type { drive_v3 } from 'googleapis/build/src/apis/drive/v3.js'
import type { DriveCall } from './call.ts'
import { DriveMistake, invalid } from './failure.ts'
import { type FakeDriveEvent, type FakeDriveJournal, USER_LOG } from './journal.ts'
import type { FakeDriveKnobs } from './knobs.ts'
import { driveNotFound } from './reads.ts'
import { driveResource, fileResource } from './resource.ts'
import { CHANGE_LIST_FIELDS, START_PAGE_TOKEN_FIELDS } from './schema.ts'

/** The logs of changes, of the user and of each shared drive. An entry is the present state of its item. */
export class FakeDriveChanges {
  readonly #journal: FakeDriveJournal
  readonly #knobs: FakeDriveKnobs

  constructor(journal: FakeDriveJournal, knobs: FakeDriveKnobs) {
    this.#journal = journal
    this.#knobs = knobs
  }

  startPageToken(call: DriveCall): void {
    const mask = call.mask(START_PAGE_TOKEN_FIELDS)
    const startPageToken = String(this.#journal.endOf(logOf(call)))
    call.send({ kind: 'drive#startPageToken', startPageToken } satisfies drive_v3.Schema$StartPageToken, mask)
  }

  list(call: DriveCall): void {
    const mask = call.mask(CHANGE_LIST_FIELDS)
    const pageSize = call.integer('pageSize', 1000)
    const pageToken = call.text('pageToken')
    if (pageToken === null) throw invalid('pageToken', 'required', 'Required parameter: pageToken')
    if ((call.text('spaces') ?? 'drive') !== 'drive') throw new DriveMistake(`spaces=${call.text('spaces')}`)
    if (call.flag('includeItemsFromAllDrives') && !call.view.supportsAllDrives) {
      throw invalid('supportsAllDrives', 'invalid', 'It must be true when includeItemsFromAllDrives is.')
    }
    const log = logOf(call)
    if (log !== USER_LOG && !call.flag('includeItemsFromAllDrives')) {
      throw invalid('includeItemsFromAllDrives', 'invalid', 'It must be true when driveId is specified.')
    }
    const events = this.#journal.eventsFrom(log, pageToken)
    if (events === null) throw invalid('pageToken')
    const { pageLimit, shortPages } = this.#knobs
    const size = Math.min(pageSize, pageLimit, shortPages.shift() ?? Infinity)
    const next = events[size]
    const changes = events.slice(0, size).flatMap((event) => changeResource(event, call))
    call.send(
      {
        kind: 'drive#changeList',
        ...(next === undefined
          ? { newStartPageToken: String(Math.max(Number(pageToken), this.#journal.endOf(log))) }
          : { nextPageToken: String(next.sequence) }),
        changes
      } satisfies drive_v3.Schema$ChangeList,
      mask
    )
  }
}

function logOf(call: DriveCall): string {
  const driveId = call.text('driveId')
  if (driveId === null) return USER_LOG
  if (!call.view.supportsAllDrives) throw invalid('supportsAllDrives', 'invalid', 'It must be true with driveId.')
  if (!call.view.tree.drives().some(({ id }) => id === driveId)) throw driveNotFound(driveId)
  return driveId
}

/** Returns the entry of an event; none if the application may not see it. */
function changeResource({ id, at, isDrive, isRemoved }: FakeDriveEvent, call: DriveCall): drive_v3.Schema$Change[] {
  const { tree } = call.view
  const node = tree.find(id)
  const base = { kind: 'drive#change', time: at.toISOString() }
  if (id === '' || (isDrive && !call.flag('includeItemsFromAllDrives'))) return []
  if (isDrive) {
    const isGone = node === undefined
    return [
      { ...base, changeType: 'drive', driveId: id, removed: isGone, ...(!isGone && { drive: driveResource(node) }) }
    ]
  }
  if (node !== undefined && !call.view.canSee(node)) return []
  const isGone = isRemoved || node === undefined || node.flags.denied === true
  if (isGone && call.text('includeRemoved') === 'false') return []
  return [
    { ...base, changeType: 'file', fileId: id, removed: isGone, ...(!isGone && { file: fileResource(node, tree) }) }
  ]
}
