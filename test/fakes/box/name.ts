import { BoxFailure } from './failure.ts'

const MAX_LENGTH = 255

/** Rejects names that Box rejects (its pages "Create folder" and "Common errors"). */
export function checkName(name: string): void {
  if (name.length > MAX_LENGTH) throw new BoxFailure({ code: 'item_name_too_long' })
  const isWrong = name === '' || name === '.' || name === '..' || /[/\\\u0000-\u001f\u007f]|^ | $/.test(name)
  if (isWrong) throw new BoxFailure({ code: 'item_name_invalid' })
}
