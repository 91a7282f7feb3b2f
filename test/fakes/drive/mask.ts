import { DriveMistake, invalid } from './failure.ts'
import type { Fields } from './schema.ts'

/** The selected fields of an object; an empty map selects everything. */
type Selection = Map<string, Selection>

const TOKEN = /[A-Za-z]\w*|[(),/]/y

/** A parameter `fields` such as `nextPageToken,files(id,capabilities/canEdit)`. Only the selected fields are sent. */
export class FieldMask {
  readonly #selection: Selection = new Map()
  readonly #tokens: string[] = []

  constructor(text: string, fields: Fields) {
    if (text.includes('*')) throw new DriveMistake('fields with *')
    TOKEN.lastIndex = 0
    for (let token = TOKEN.exec(text); token !== null; token = TOKEN.exec(text)) this.#tokens.push(token[0])
    const tokenizedLength = this.#tokens.join('').length
    if (tokenizedLength < text.length) throw invalidSelection(text.slice(tokenizedLength))
    this.#parseList(this.#selection)
    if (this.#tokens.length > 0) throw invalidSelection(this.#tokens.join(''))
    checkSelection(this.#selection, fields)
  }

  apply(value: object): object {
    return applySelection(value, this.#selection) as object
  }

  #parseList(selection: Selection): void {
    do this.#parseItem(selection)
    while (this.#accept(','))
  }

  #parseItem(selection: Selection): void {
    const name = this.#tokens.shift() ?? ''
    if (!/^\w/.test(name)) throw invalidSelection(name)
    const isFullySelected = selection.get(name)?.size === 0
    const nested: Selection = selection.get(name) ?? new Map()
    selection.set(name, nested)
    if (this.#accept('/')) this.#parseItem(nested)
    else if (this.#accept('(')) {
      this.#parseList(nested)
      if (!this.#accept(')')) throw invalidSelection(name)
    } else nested.clear()
    // `user,user(me)` selects all of `user`.
    if (isFullySelected) nested.clear()
  }

  #accept(token: string): boolean {
    if (this.#tokens[0] !== token) return false
    this.#tokens.shift()
    return true
  }
}

function checkSelection(selection: Selection, fields: Fields): void {
  for (const [name, nested] of selection) {
    const field = typeof fields === 'string' || !Object.hasOwn(fields, name) ? undefined : fields[name]
    if (field === undefined) throw invalidSelection(name)
    if (field === 'unserved') throw new DriveMistake(`the field ${name}, which the fake does not serve`)
    checkSelection(nested, field)
  }
}

function applySelection(value: unknown, selection: Selection): unknown {
  if (selection.size === 0 || typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((item) => applySelection(item, selection))
  const selected = Object.entries(value).flatMap(([name, item]) => {
    const nested = selection.get(name)
    return nested === undefined ? [] : [[name, applySelection(item, nested)] as const]
  })
  return Object.fromEntries(selected)
}

const invalidSelection = (name: string) => invalid('fields', 'invalidParameter', `Invalid field selection ${name}`)
