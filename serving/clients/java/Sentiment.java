import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Asks a served `sentiment` model over REST. Java 17 or newer, nothing to install.
 *
 * <pre>
 * java Sentiment.java "A joyless film." "Warm, sly and very funny."
 * java Sentiment.java --url https://models.example.com --deadline 2 "A joyless film."
 * </pre>
 *
 * One object for the life of the process, to be used from any thread: HttpClient keeps its connections open. A refused
 * or lost request is asked again, later and later (a prediction changes nothing, so asking twice is safe), until the
 * deadline, which holds for all tries together. In a service that has a JSON library already, drop {@link Json}.
 */
public final class Sentiment {
  /** What the model answers for one text. */
  public record Answer(String label, double score, List<Double> probabilities) {}

  /** The server's own words, or why there was no answer. */
  public static final class PredictionException extends Exception {
    private static final long serialVersionUID = 1;

    PredictionException(String message) {
      super(message);
    }
  }

  // Full or starting (503), or told so by a proxy. 504 is not among them: the time is over.
  private static final Set<Integer> AGAIN = Set.of(429, 502, 503);

  private final HttpClient http =
      HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(Duration.ofSeconds(5)).build();
  private final URI endpoint;
  private final Duration deadline;
  private final int retries;

  /**
   * @param url of the server, as http://127.0.0.1:8501
   * @param model its name
   * @param deadline of one call, all tries included
   * @param retries at most so many, after the first try
   */
  public Sentiment(String url, String model, Duration deadline, int retries) {
    String name = URLEncoder.encode(model, StandardCharsets.UTF_8).replace("+", "%20");
    this.endpoint = URI.create(url.replaceAll("/$", "") + "/v1/models/" + name + ":predict");
    this.deadline = deadline;
    this.retries = retries;
  }

  /** Asks for all texts in one request; the answers are in their order. */
  public List<Answer> predict(List<String> texts) throws PredictionException, InterruptedException {
    long until = System.nanoTime() + deadline.toNanos();
    String body = Json.write(Map.of("instances", texts));
    for (int attempt = 0; ; attempt++) {
      String why;
      long left = until - System.nanoTime();
      if (left <= 0) throw late();
      HttpRequest request =
          HttpRequest.newBuilder(endpoint)
              .header("Content-Type", "application/json")
              .POST(HttpRequest.BodyPublishers.ofString(body))
              .build();
      // HttpRequest's own timeout ends with the headers; this one holds for the body too.
      CompletableFuture<HttpResponse<String>> sent = http.sendAsync(request, HttpResponse.BodyHandlers.ofString());
      try {
        HttpResponse<String> response = sent.get(left, TimeUnit.NANOSECONDS);
        if (response.statusCode() == 200) return answers(response.body());
        why = "HTTP " + response.statusCode() + ": " + error(response.body());
        if (!AGAIN.contains(response.statusCode())) throw new PredictionException(why);
      } catch (TimeoutException late) {
        sent.cancel(true);
        throw late();
      } catch (ExecutionException failed) {
        if (!(failed.getCause() instanceof IOException)) throw new PredictionException("" + failed.getCause());
        why = "" + failed.getCause();
      }
      if (attempt >= retries) throw new PredictionException("gave up: " + why);
      // Doubled each time, and a random part, so that clients do not come back at once.
      long pause = (long) (ThreadLocalRandom.current().nextDouble(0.5, 1.0) * Math.min(2000, 100L << attempt));
      Thread.sleep(Math.min(pause, Math.max(0, (until - System.nanoTime()) / 1_000_000)));
    }
  }

  private PredictionException late() {
    return new PredictionException("no answer within " + deadline.toMillis() / 1000.0 + " s");
  }

  @SuppressWarnings("unchecked")
  private static List<Answer> answers(String body) throws PredictionException {
    List<Answer> found = new ArrayList<>();
    try {
      for (Object each : (List<Object>) ((Map<String, Object>) Json.read(body)).get("predictions")) {
        Map<String, Object> row = (Map<String, Object>) each;
        found.add(new Answer((String) row.get("label"), (Double) row.get("score"), (List<Double>) row.get("probabilities")));
      }
    } catch (RuntimeException error) {
      throw new PredictionException("expected label, score and probabilities, found " + body);
    }
    return found;
  }

  private static String error(String body) {
    try {
      return "" + ((Map<?, ?>) Json.read(body)).get("error");
    } catch (RuntimeException error) {
      return "no JSON: is this a model server?";
    }
  }

  /** JSON as far as it is needed: objects are maps, lists are lists, numbers are doubles (NaN and Infinity too). */
  static final class Json {
    private final String text;
    private int at;

    private Json(String text) {
      this.text = text;
    }

    static Object read(String text) {
      return new Json(text).value();
    }

    private char next() {
      while (Character.isWhitespace(text.charAt(at))) at++;
      return text.charAt(at);
    }

    private boolean take(char wanted) {
      if (next() != wanted) return false;
      at++;
      return true;
    }

    private Object value() {
      if (take('{')) {
        Map<String, Object> map = new LinkedHashMap<>();
        while (!take('}')) {
          take(',');
          next();
          String key = (String) value();
          take(':');
          map.put(key, value());
        }
        return map;
      }
      if (take('[')) {
        List<Object> list = new ArrayList<>();
        while (!take(']')) {
          take(',');
          list.add(value());
        }
        return list;
      }
      return next() == '"' ? string() : word();
    }

    private String string() {
      StringBuilder found = new StringBuilder();
      for (at++; text.charAt(at) != '"'; at++) {
        char letter = text.charAt(at);
        if (letter == '\\') {
          letter = text.charAt(++at);
          int place = "bfnrt".indexOf(letter);
          if (place >= 0) letter = "\b\f\n\r\t".charAt(place);
          if (letter == 'u') {
            letter = (char) Integer.parseInt(text.substring(at + 1, at + 5), 16);
            at += 4;
          }
        }
        found.append(letter);
      }
      at++;
      return found.toString();
    }

    private Object word() {
      int start = at;
      while (at < text.length() && ",]} \n\r\t".indexOf(text.charAt(at)) < 0) at++;
      String word = text.substring(start, at);
      return switch (word) {
        case "true" -> true;
        case "false" -> false;
        case "null" -> null;
        default -> Double.valueOf(word);
      };
    }

    static String write(Object value) {
      if (value instanceof Map<?, ?> map) {
        List<String> parts = new ArrayList<>();
        map.forEach((key, each) -> parts.add(write("" + key) + ": " + write(each)));
        return "{" + String.join(", ", parts) + "}";
      }
      if (value instanceof List<?> list) return "[" + String.join(", ", list.stream().map(Json::write).toList()) + "]";
      if (!(value instanceof String text)) return "" + value;
      StringBuilder written = new StringBuilder("\"");
      for (char letter : text.toCharArray()) {
        if (letter == '"' || letter == '\\') written.append('\\').append(letter);
        else if (letter < ' ') written.append(String.format("\\u%04x", (int) letter));
        else written.append(letter);
      }
      return written.append('"').toString();
    }
  }

  private static String environment(String name, String otherwise) {
    String value = System.getenv(name);
    return value == null || value.isEmpty() ? otherwise : value;
  }

  /** Prints one line of JSON for each text. */
  public static void main(String[] arguments) throws Exception {
    Map<String, String> flags = new LinkedHashMap<>();
    flags.put("--url", environment("SERVING_URL", "http://127.0.0.1:8501"));
    flags.put("--model", environment("SERVING_MODEL", "sentiment"));
    flags.put("--deadline", environment("SERVING_DEADLINE", "5"));
    flags.put("--retries", "4");
    List<String> texts = new ArrayList<>();
    for (int i = 0; i < arguments.length; i++) {
      if (flags.containsKey(arguments[i]) && i + 1 < arguments.length) flags.put(arguments[i], arguments[++i]);
      else texts.add(arguments[i]);
    }
    Duration deadline = Duration.ofMillis(Math.round(1000 * Double.parseDouble(flags.get("--deadline"))));
    int retries = Integer.parseInt(flags.get("--retries"));
    var out = new java.io.PrintStream(System.out, true, StandardCharsets.UTF_8);
    try {
      List<Answer> answers = new Sentiment(flags.get("--url"), flags.get("--model"), deadline, retries).predict(texts);
      for (int row = 0; row < texts.size(); row++) {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("text", texts.get(row));
        line.put("label", answers.get(row).label());
        line.put("score", answers.get(row).score());
        line.put("probabilities", answers.get(row).probabilities());
        out.println(Json.write(line));
      }
    } catch (PredictionException error) {
      System.err.println("Error: " + error.getMessage());
      System.exit(1);
    }
  }
}
