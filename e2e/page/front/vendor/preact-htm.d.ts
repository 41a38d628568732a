// Types of what preact-htm.js exports, as far as the page uses it. For the type checker alone; it is not served.

export type Child = VNode | string | number | boolean | null | undefined | Child[];
export interface VNode { type: unknown; props: Record<string, any>; key: unknown }
export type Component<P = any> = (props: P) => Child;
export function h(type: any, props: any, ...children: any[]): VNode;
export function html(strings: TemplateStringsArray, ...values: any[]): any;
export function render(node: Child, into: Element): void;
export const Fragment: Component;
export interface Context<T> { Provider: Component<{ value: T; children?: any }> }
export function createContext<T>(initial: T): Context<T>;
export type Update<T> = (next: T | ((before: T) => T)) => void;
export function useState<T>(initial: T | (() => T)): [T, Update<T>];
export function useReducer<S, A>(reduce: (state: S, action: A) => S, initial: S): [S, (action: A) => void];
export function useEffect(run: () => void | (() => void), inputs?: unknown[]): void;
export function useLayoutEffect(run: () => void | (() => void), inputs?: unknown[]): void;
export function useMemo<T>(make: () => T, inputs: unknown[]): T;
export function useCallback<F extends (...args: any[]) => any>(call: F, inputs: unknown[]): F;
export function useRef<T>(initial: T): { current: T };
export function useContext<T>(context: Context<T>): T;
export function useId(): string;
