import { asObject, textOf } from '../shared/read-json.ts'
import { hasFacet, isAtTop, type Resource } from './entries.ts'
import { readDriveId } from './ids.ts'

/** What a connection has learned of the user's own drive, from answers that told it anyway. */
export class OwnDrive {
  /** `null` until it was told. */
  id: string | null = null
  /** What Graph calls the top of it; `null` until it was told. */
  rootItem: string | null = null
  /** Graph has said that the user has none, or that the connection may not see it. */
  isMissing = false
  #type: string | null = null

  /** Personal accounts have no sites. `null` until it was told. */
  get isPersonal(): boolean | null {
    return this.#type === null ? null : this.#type === 'personal'
  }

  learnDrive(drive: Resource): void {
    this.id = readDriveId(drive['id']) ?? this.id
    this.#type = textOf(drive['driveType']) ?? this.#type
    this.isMissing &&= this.id === null
  }

  /** Keeps what an item says. @param isOwn it was asked for as something of the user's own drive */
  learn(item: Resource, { isOwn }: { readonly isOwn: boolean }): void {
    const { driveId, driveType, id } = asObject(item['parentReference'])
    if (isOwn) this.learnDrive({ id: driveId, driveType })
    if (this.id === null || readDriveId(driveId) !== this.id) return
    if (hasFacet(item, 'root')) this.rootItem = textOf(item['id'])
    else if (isAtTop(item)) this.rootItem = textOf(id)
  }
}
