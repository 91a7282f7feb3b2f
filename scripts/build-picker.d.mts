export const MAX_GZIPPED: number
export function buildPicker(folder: string): Promise<number>
