export const demoPolicy: string;
export function serve(
  folder: string,
  options?: { port?: number; policy?: string },
): Promise<{ address: string; close: () => Promise<void> }>;
