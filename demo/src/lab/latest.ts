/**
 * One call at a time; of those that come meanwhile only the newest is made. So a slider never queues up work, and what is
 * shown last is what was asked last.
 */
export class Latest<Request, Answer> {
  private waiting: Request | undefined;
  private isBusy = false;

  constructor(
    private readonly work: (request: Request) => Promise<Answer>,
    private readonly show: (answer: Answer, request: Request) => void,
    private readonly fail: (error: unknown) => void,
  ) {}

  ask(request: Request): void {
    this.waiting = request;
    if (!this.isBusy) void this.drain();
  }

  private async drain(): Promise<void> {
    this.isBusy = true;
    while (this.waiting !== undefined) {
      const request = this.waiting;
      this.waiting = undefined;
      try {
        const answer = await this.work(request);
        this.show(answer, request);
      } catch (error) {
        // What is asked anew already makes its own error or answer.
        if (this.waiting === undefined) this.fail(error);
      }
    }
    this.isBusy = false;
  }
}
