import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Martlet with Java 11's HttpClient: a job, a map whose results come while it runs, a refusal.
 * Run it with {@code java Client.java}. A program of yours would read JSON with a library; here a
 * pattern takes out the one member that is needed.
 */
public class Client {
    private final String base;
    private final String token;
    private final HttpClient http = HttpClient.newHttpClient();

    Client(String base, String token) {
        this.base = base;
        this.token = token;
    }

    /** An answer by RFC 9457. */
    static class Problem extends IOException {
        Problem(int status, String document) {
            super(status + " " + member("detail", document));
        }
    }

    /** Returns the id of the new job, which is on the server's disk by then. */
    String submit(String job) throws IOException, InterruptedException {
        HttpRequest.Builder request = request("/v1/jobs")
            .header("Content-Type", "application/json")
            // The key makes a repeat after a lost answer the same job.
            .header("Idempotency-Key", UUID.randomUUID().toString())
            .POST(HttpRequest.BodyPublishers.ofString(job));
        return member("id", ask(request));
    }

    /** Waits for the job's result, at most 30 s. */
    String result(String id) throws IOException, InterruptedException {
        return ask(request("/v1/jobs/" + id + "/result?wait=30"));
    }

    /** The lines of a map's items, in their order, while it runs. */
    Stream<String> items(String id) throws IOException, InterruptedException {
        HttpResponse<Stream<String>> answer =
            http.send(request("/v1/jobs/" + id + "/items?wait=30").build(), BodyHandlers.ofLines());
        if (answer.statusCode() != 200) {
            throw new Problem(answer.statusCode(), String.join("", answer.body().toList()));
        }
        return answer.body();
    }

    private HttpRequest.Builder request(String path) {
        HttpRequest.Builder request =
            HttpRequest.newBuilder(URI.create(base + path)).timeout(Duration.ofMinutes(1));
        return token == null ? request : request.header("Authorization", "Bearer " + token);
    }

    private String ask(HttpRequest.Builder request) throws IOException, InterruptedException {
        HttpResponse<String> answer = http.send(request.build(), BodyHandlers.ofString());
        if (answer.statusCode() >= 300) {
            throw new Problem(answer.statusCode(), answer.body());
        }
        return answer.body();
    }

    private static String member(String name, String document) {
        Matcher found = Pattern.compile(
            "\"" + name + "\":\"((?:[^\"\\\\]|\\\\.)*)\"").matcher(document);
        return found.find() ? found.group(1).replace("\\\"", "\"") : document;
    }

    public static void main(String[] arguments) throws Exception {
        String base = System.getenv().getOrDefault("MARTLET_URL", "http://127.0.0.1:8080");
        Client client = new Client(base, System.getenv("MARTLET_TOKEN"));

        String id = client.submit("{\"function\":\"square\",\"args\":[12]}");
        System.out.println("square(12) = " + client.result(id));

        String map = client.submit("{\"function\":\"square\",\"map\":[1,2,3,4,5]}");
        client.items(map).forEach(System.out::println);

        try {
            client.submit("{\"function\":\"squere\",\"args\":[12]}");
        } catch (Problem problem) {
            System.out.println(problem.getMessage());
        }
    }
}
