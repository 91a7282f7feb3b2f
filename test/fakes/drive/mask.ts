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
    const read = this.#tokens.join('').length
    if (read < text.length) throw invalidSelection(text.slice(read))
    this.#list(this.#selection)
    if (this.#tokens.length > 0) throw invalidSelection(this.#tokens.join(''))
    check(this.#selection, fields)
  }

  apply(value: object): object {
    return select(value, this.#selection) as object
  }

  #list(into: Selection): void {
    do this.#item(into)
    while (this.#takes(','))
  }

  #item(into: Selection): void {
    const name = this.#tokens.shift() ?? ''
    if (!/^\w/.test(name)) throw invalidSelection(name)
    const isWhole = into.get(name)?.size === 0
    const below: Selection = into.get(name) ?? new Map()
    into.set(name, below)
    if (this.#takes('/')) this.#item(below)
    else if (this.#takes('(')) {
      this.#list(below)
      if (!this.#takes(')')) throw invalidSelection(name)
    } else below.clear()
    // `user,user(me)` selects all of `user`.
    if (isWhole) below.clear()
  }

  #takes(token: string): boolean {
    if (this.#tokens[0] !== token) return false
    this.#tokens.shift()
    return true
  }
}

function check(selection: Selection, fields: Fields): void {
  for (const [name, below] of selection) {
    const field = typeof fields === 'string' || !Object.hasOwn(fields, name) ? undefined : fields[name]
    if (field === undefined) throw invalidSelection(name)
    if (field === 'unserved') throw new DriveMistake(`the field ${name}, which the fake does not serve`)
    check(below, field)
  }
}

function select(value: unknown, selection: Selection): unknown {
  if (selection.size === 0 || typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((item) => select(item, selection))
  const selected = Object.entries(value).flatMap(([name, item]) => {
    const below = selection.get(name)
    return below === undefined ? [] : [[name, select(item, below)] as const]
  })
  return Object.fromEntries(selected)
}

const invalidSelection = (name: string) => invalid('fields', 'invalidParameter', `Invalid field selection ${name}`)
