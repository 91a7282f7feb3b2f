import { parseArgs } from 'node:util'

/**
 * Reads the arguments of a program that takes none but `--help`, before it does anything.
 *
 * @param help printed for `--help`; then the process ends
 * @throws Error for any other argument
 */
export function readArguments(help: string, args: readonly string[] = process.argv.slice(2)): void {
  const { values } = parseArgs({ args: [...args], options: { help: { type: 'boolean', short: 'h' } }, strict: true })
  if (values.help !== true) return
  process.stdout.write(`${help.trim()}\n`)
  process.exit(0)
}
