import { randomBytes } from 'node:crypto'
import type { drive_v3 } from 'googleapis/build/src/apis/drive/v3.js'
import type { DriveCall } from './call.ts'
import { DriveFailure, DriveMistake, invalid, notFound } from './failure.ts'
import type { FakeDriveKnobs } from './knobs.ts'
import type { FakeDriveNode } from './node.ts'
import { sortNodes } from './order.ts'
import { FakePages } from '../pages.ts'
import { DriveQuery } from './query.ts'
import { aboutResource, driveResource, fileResource } from './resource.ts'
import { ABOUT_FIELDS, DRIVE_FIELDS, DRIVE_LIST_FIELDS, FILE_FIELDS, FILE_LIST_FIELDS } from './schema.ts'

/** Parameters that may differ from page to page. */
const VARIABLE_PARAMETERS = ['pageToken', 'prettyPrint', 'quotaUser']

/** Listings of IDs, with page tokens. */
export function newDrivePages(): FakePages<string> {
  return new FakePages(
    () => `~!!~${randomBytes(48).toString('base64')}`,
    (problem) => invalid('pageToken', problem === 'changed' ? 'invalidParameter' : 'invalid')
  )
}

/** Handles metadata requests: files, drives and the user. */
export class FakeDriveReads {
  readonly #pages: FakePages<string>
  readonly #knobs: FakeDriveKnobs

  constructor(pages: FakePages<string>, knobs: FakeDriveKnobs) {
    this.#pages = pages
    this.#knobs = knobs
  }

  about(call: DriveCall): void {
    const mask = call.mask(ABOUT_FIELDS)
    const { caller, tree } = call.view
    call.send(aboutResource(caller.user, tree, this.#knobs.quotaBytes), mask)
  }

  file(call: DriveCall): void {
    const mask = call.mask(FILE_FIELDS)
    call.send(fileResource(call.view.node(call.route.id), call.view.tree), mask)
  }

  drive(call: DriveCall): void {
    const mask = call.mask(DRIVE_FIELDS)
    const drive = call.view.tree.drives().find(({ id }) => id === call.route.id)
    if (drive === undefined) throw driveNotFound(call.route.id)
    call.send(driveResource(drive), mask)
  }

  drives(call: DriveCall): void {
    const mask = call.mask(DRIVE_LIST_FIELDS)
    const { tree } = call.view
    const pageSize = call.integer('pageSize', 100)
    const { ids, ...next } = this.#page(call, pageSize, () => tree.drives().map(({ id }) => id))
    const drives = ids.flatMap((id) => tree.find(id) ?? []).map(driveResource)
    call.send({ kind: 'drive#driveList', ...next, drives } satisfies drive_v3.Schema$DriveList, mask)
  }

  files(call: DriveCall): void {
    const mask = call.mask(FILE_LIST_FIELDS)
    const pageSize = call.integer('pageSize', 1000)
    if ((call.text('spaces') ?? 'drive') !== 'drive') throw new DriveMistake(`spaces=${call.text('spaces')}`)
    const matches = corpusFilter(call)
    const query = new DriveQuery(call.text('q') ?? '(trashed = true or trashed = false)')
    const { tree } = call.view
    for (const id of query.parents) {
      const folder = tree.find(id)
      const isVisible = folder !== undefined && (folder === tree.root || call.view.canSee(folder))
      // Google's error does not name the folder.
      if (!isVisible) throw notFound('')
      if (folder.flags.denied === true) throw new DriveFailure({ reason: 'insufficientFilePermissions' })
    }
    const list = () => {
      const found = [...tree.nodes()].filter((node) => matches(node) && query.matches(node, tree))
      return sortNodes(found, call.text('orderBy')).map(({ id }) => id)
    }
    const { ids, ...next } = this.#page(call, pageSize, list)
    // Items deleted since the request for the first page are omitted.
    const files = ids.flatMap((id) => tree.find(id) ?? []).map((node) => fileResource(node, tree))
    const incompleteSearch = this.#knobs.incompleteSearch
    call.send({ kind: 'drive#fileList', incompleteSearch, ...next, files } satisfies drive_v3.Schema$FileList, mask)
  }

  #page(call: DriveCall, pageSize: number, list: () => readonly string[]) {
    const { pageLimit, shortPages } = this.#knobs
    const parameters = [...call.request.query].filter(([name]) => !VARIABLE_PARAMETERS.includes(name))
    const { items, nextCursor } = this.#pages.page({
      requestKey: JSON.stringify([call.view.caller.user, parameters.sort()]),
      cursor: call.text('pageToken') ?? undefined,
      size: Math.min(pageSize, pageLimit, shortPages.shift() ?? Infinity),
      list
    })
    return { ids: items, ...(nextCursor !== undefined && { nextPageToken: nextCursor }) }
  }
}

/** Returns the filter for the corpus of a listing. */
function corpusFilter(call: DriveCall): (node: FakeDriveNode) => boolean {
  const corpora = call.text('corpora')
  const driveId = call.text('driveId')
  const includesAllDrives = call.flag('includeItemsFromAllDrives')
  if (!['user', 'drive', 'allDrives', null].includes(corpora)) throw invalid('corpora')
  if ((corpora === 'drive') !== (driveId !== null)) {
    throw invalid(
      'driveId',
      'invalid',
      'The driveId parameter must be specified if and only if corpora is set to drive.'
    )
  }
  const spansDrives = corpora === 'drive' || corpora === 'allDrives'
  if (spansDrives && !includesAllDrives) {
    throw invalid('includeItemsFromAllDrives', 'invalid', `It must be true when corpora is ${corpora}.`)
  }
  if (includesAllDrives && !call.view.supportsAllDrives) {
    throw invalid('supportsAllDrives', 'invalid', 'It must be true when includeItemsFromAllDrives is.')
  }
  if (driveId !== null && !call.view.tree.drives().some(({ id }) => id === driveId)) throw driveNotFound(driveId)
  // `user` contains items that the user has opened; here, none in shared drives. Without `corpora`, Drive chooses by
  // the query.
  const hasDrives = includesAllDrives && corpora !== 'user'
  const isInCorpus = (node: FakeDriveNode) =>
    corpora === 'drive' ? node.driveId === driveId : node.driveId === undefined || hasDrives
  return (node) => !node.isRoot && isInCorpus(node) && call.view.canSee(node)
}

export const driveNotFound = (id: string) =>
  new DriveFailure({
    reason: 'notFound',
    message: `Shared drive not found: ${id}`,
    location: 'driveId',
    locationType: 'parameter'
  })
