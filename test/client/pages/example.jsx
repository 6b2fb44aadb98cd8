import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { Signals } from '../../../examples/react.jsx';

const url = new URLSearchParams(location.search).get('gateway');
const root = createRoot(document.querySelector('#root'));
root.render(
  <StrictMode>
    <Signals url={url} />
  </StrictMode>,
);
window.unmount = () => root.unmount();
