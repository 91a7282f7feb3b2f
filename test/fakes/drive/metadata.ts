import { DriveFailure, DriveMistake, invalid } from './failure.ts'
import { FILE_FIELDS } from './schema.ts'

/** The metadata of a file that a client sends. */
export interface DriveMetadata {
  readonly id?: string
  readonly name?: string
  readonly mimeType?: string
  readonly trashed?: boolean
  readonly parent?: string
  readonly targetId?: string
  readonly created?: Date
  readonly modified?: Date
}

type Method = 'create' | 'update'

/** The writable fields of a new and of an existing file. */
const WRITABLE: Readonly<Record<Method, readonly string[]>> = {
  create: ['id', 'name', 'mimeType', 'parents', 'shortcutDetails', 'createdTime', 'modifiedTime'],
  update: ['name', 'mimeType', 'trashed', 'modifiedTime']
}

/** Output-only fields of Drive. All others are mistakes, or not supported by the fake. */
const OUTPUT_ONLY = [
  ...['kind', 'size', 'version', 'md5Checksum', 'headRevisionId', 'driveId', 'capabilities', 'webViewLink', 'owners'],
  ...['explicitlyTrashed', 'hasThumbnail', 'thumbnailLink', 'ownedByMe', 'shared', 'parents', 'id', 'createdTime']
]

export function parseMetadata(contentType: string, body: Buffer, method: Method): DriveMetadata {
  if (!/^application\/json(?:;\s*charset="?utf-8"?)?$/i.test(contentType)) {
    throw new DriveMistake(`metadata of the content type ${contentType}`)
  }
  const fields = parseObject(body)
  checkNames(Object.keys(fields), method)
  return {
    ...readField(fields, 'id', 'id', asString),
    ...readField(fields, 'name', 'name', asString),
    ...readField(fields, 'mimeType', 'mimeType', asString),
    ...readField(fields, 'trashed', 'trashed', asBoolean),
    ...readField(fields, 'parents', 'parent', asParent),
    ...readField(fields, 'shortcutDetails', 'targetId', asTarget),
    ...readField(fields, 'createdTime', 'created', asDate),
    ...readField(fields, 'modifiedTime', 'modified', asDate)
  }
}

function parseObject(body: Buffer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body.toString())
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch {
    // Reported below.
  }
  throw new DriveMistake('metadata that is no JSON object')
}

function checkNames(names: readonly string[], method: Method): void {
  const notWritable = names.filter((name) => !WRITABLE[method].includes(name))
  if (notWritable.some((name) => OUTPUT_ONLY.includes(name))) throw new DriveFailure({ reason: 'fieldNotWritable' })
  const [name] = notWritable
  if (name === undefined) return
  throw new DriveMistake(
    `${name in FILE_FIELDS ? 'a field that the fake does not store' : 'an unknown field'}: ${name}`
  )
}

function readField<K extends string, T>(
  fields: Readonly<Record<string, unknown>>,
  field: string,
  property: K,
  parse: (value: unknown, name: string) => T
): Partial<Record<K, T>> {
  return field in fields ? ({ [property]: parse(fields[field], field) } as Record<K, T>) : {}
}

function asString(value: unknown, name: string): string {
  if (typeof value !== 'string') throw invalid(name)
  return value
}

function asBoolean(value: unknown, name: string): boolean {
  if (typeof value !== 'boolean') throw invalid(name)
  return value
}

function asParent(value: unknown): string {
  const ids: unknown[] = Array.isArray(value) ? value : []
  const [id] = ids
  if (ids.length !== 1 || typeof id !== 'string') throw new DriveMistake('parents that are not one id')
  return id
}

function asTarget(value: unknown): string {
  return asString((value as { targetId?: unknown } | null)?.targetId, 'shortcutDetails.targetId')
}

function asDate(value: unknown, name: string): Date {
  const text = asString(value, name)
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/.test(text)) throw invalid(name)
  return new Date(text)
}
