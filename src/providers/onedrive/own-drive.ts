import { asObject, textOf } from '../shared/read-json.ts'
import { hasFacet, isAtTop, type Resource } from './entries.ts'
import { readDriveId } from './ids.ts'

/** The properties of the user's own drive that a connection has learned from its responses. */
export class OwnDrive {
  /** `null` if unknown. */
  id: string | null = null
  /** The item id of its top; `null` if unknown. */
  rootItem: string | null = null
  /** Graph has reported that the user has no drive, or that the connection may not access it. */
  isMissing = false
  #type: string | null = null

  /** Whether the account is personal, and so has no sites; `null` if unknown. */
  get isPersonal(): boolean | null {
    return this.#type === null ? null : this.#type === 'personal'
  }

  learnDrive(drive: Resource): void {
    this.id = readDriveId(drive['id']) ?? this.id
    this.#type = textOf(drive['driveType']) ?? this.#type
    this.isMissing &&= this.id === null
  }

  /** Stores the properties that an item contains. @param isOwn whether it was requested from the user's own drive */
  learn(item: Resource, { isOwn }: { readonly isOwn: boolean }): void {
    const { driveId, driveType, id } = asObject(item['parentReference'])
    if (isOwn) this.learnDrive({ id: driveId, driveType })
    if (this.id === null || readDriveId(driveId) !== this.id) return
    if (hasFacet(item, 'root')) this.rootItem = textOf(item['id'])
    else if (isAtTop(item)) this.rootItem = textOf(id)
  }
}
